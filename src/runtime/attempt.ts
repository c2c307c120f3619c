import { assert } from '../errors.ts'
import type { Delivery } from './handler.ts'
import type { Slot } from './slot.ts'

/** The delivery of one attempt. Plain members, so that it prints and spreads as people expect. */
export class Attempt implements Delivery {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: number
  readonly key: string | null
  readonly data: unknown
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly appendTime: number
  readonly attempt: number
  readonly redelivered: boolean
  readonly replay: string | undefined
  // Set only where the event has them.
  declare readonly subject?: string | undefined
  declare readonly datacontenttype?: string | undefined
  declare readonly dataschema?: string | undefined
  declare readonly correlationid?: string | undefined
  declare readonly causationid?: string | undefined
  declare readonly traceparent?: string | undefined
  declare readonly producersequence?: number | undefined
  readonly #group: string
  #abort: AbortController | undefined
  #aborted: unknown

  constructor(slot: Slot, place: { group: string; topic: string; partition: number }, redelivered: boolean) {
    const { event } = slot
    assert(event !== undefined, 'a slot that starts has its event')
    this.id = event.id
    this.source = event.source
    this.type = event.type
    this.time = event.time
    this.key = event.key
    this.data = event.data
    this.topic = place.topic
    this.partition = place.partition
    this.offset = event.offset
    this.appendTime = event.appendTime
    this.attempt = slot.attempt + (slot.redrive?.attemptsBefore ?? 0)
    this.redelivered = redelivered
    this.replay = undefined
    this.#group = place.group
    // Attributes come from our own codec, which knows no other names than the ones above.
    if (event.attributes !== undefined) Object.assign(this, event.attributes)
  }

  get idempotencyKey(): string {
    return `${this.#group}:${this.topic}:${this.partition}:${this.offset}:${this.id}`
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#aborted !== undefined) this.#abort.abort(this.#aborted)
    }
    return this.#abort.signal
  }

  /** Tells the handler that its attempt is over. */
  abort(reason: Error): void {
    this.#aborted = reason
    this.#abort?.abort(reason)
  }
}
