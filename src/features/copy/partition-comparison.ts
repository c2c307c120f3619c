import type { Engine } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import type { StoredEvent } from '../../event/event.ts'
import { canonicalJson, fingerprint } from '../../event/fingerprint.ts'
import { limits } from '../../limits.ts'

export interface ComparedLogs {
  readonly source: Engine
  readonly target: Engine
  readonly topic: string
}

/**
 * Reads a partition in both places side by side: every event of the source is in the target, with its id and content,
 * in the source's order. Can go on later where it ended.
 */
export class PartitionComparison {
  readonly #logs: ComparedLogs
  readonly #partition: number
  readonly #source: LogCursor
  readonly #target: LogCursor
  readonly #onPair: (source: number, target: number) => void
  /** Events of the source that were compared. */
  events = 0
  /** Events that only the target has, as far as it was read. */
  others = 0
  /** Whether each event has the same offset here and there. */
  sameOffsets = true

  /** `onPair`: an event's offsets in source and target, in their order. */
  constructor(
    logs: ComparedLogs,
    partition: number,
    onPair: (source: number, target: number) => void = () => undefined,
  ) {
    this.#logs = logs
    this.#partition = partition
    this.#source = new LogCursor(logs.source, logs.topic, partition)
    this.#target = new LogCursor(logs.target, logs.topic, partition)
    this.#onPair = onPair
  }

  /**
   * Compares up to offset `end` of the source.
   *
   * @throws SemelError COPY_DIFFERS at the first event that is not as it should be.
   */
  async goOn(end: number, signal: AbortSignal | undefined): Promise<void> {
    const targetEnd = await this.#target.end()
    for (;;) {
      signal?.throwIfAborted()
      const event = await this.#source.next(end)
      if (event === undefined) return
      await this.#find(event, targetEnd)
    }
  }

  /** Counts what the target has beyond the last event that was compared. */
  async countRest(signal: AbortSignal | undefined): Promise<void> {
    const targetEnd = await this.#target.end()
    while ((await this.#target.next(targetEnd)) !== undefined) {
      signal?.throwIfAborted()
      this.others++
    }
  }

  async #find(event: StoredEvent, targetEnd: number): Promise<void> {
    for (;;) {
      const copy = await this.#target.next(targetEnd)
      if (copy === undefined) throw missing(this.#logs.topic, this.#partition, event)
      if (isCopy(event, copy)) {
        this.events++
        this.sameOffsets &&= copy.offset === event.offset
        this.#onPair(event.offset, copy.offset)
        return
      }
      this.others++
    }
  }
}

/** Where somebody is who reads a partition event by event. */
class LogCursor {
  readonly #engine: Engine
  readonly #topic: string
  readonly #partition: number
  #read: readonly StoredEvent[] = []
  #index = 0
  #offset: number | undefined

  constructor(engine: Engine, topic: string, partition: number) {
    this.#engine = engine
    this.#topic = topic
    this.#partition = partition
  }

  async end(): Promise<number> {
    return (await this.#bounds()).end
  }

  /** The next event below `end`; `undefined` if there is none yet. */
  async next(end: number): Promise<StoredEvent | undefined> {
    this.#offset ??= (await this.#bounds()).earliest
    while (this.#index === this.#read.length) {
      if (this.#offset >= end) return undefined
      const { events, next } = await this.#engine.read({
        topic: this.#topic,
        partition: this.#partition,
        offset: this.#offset,
        maxEvents: Math.min(limits.readEventsMax, end - this.#offset),
        maxBytes: limits.readBytesMax,
      })
      this.#read = events
      this.#index = 0
      this.#offset = next
    }
    return this.#read[this.#index]!.offset < end ? this.#read[this.#index++] : undefined
  }

  async #bounds() {
    return (await this.#engine.bounds(this.#topic))[this.#partition]!
  }
}

function isCopy(event: StoredEvent, copy: StoredEvent): boolean {
  return (
    event.id === copy.id &&
    event.time === copy.time &&
    canonicalJson(event.attributes ?? {}) === canonicalJson(copy.attributes ?? {}) &&
    fingerprint(event) === fingerprint(copy)
  )
}

function missing(topic: string, partition: number, { id, offset }: StoredEvent): SemelError {
  return new SemelError(
    'COPY_DIFFERS',
    `event ${JSON.stringify(id)}, offset ${offset} of ${topic}/${partition}, is not in the target where it belongs`,
    {
      actual: offset,
      hint: 'a target that knew an id already keeps its own event: copy to an empty one, without deduplication if ids of the source repeat',
    },
  )
}
