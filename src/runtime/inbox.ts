import type { Engine, StateChanges, TaskId } from '../engine/engine.ts'
import { storeNames } from '../engine/store-names.ts'
import type { StoredEvent } from '../event/event.ts'
import { fingerprint } from '../event/fingerprint.ts'
import { StateCache } from './state-cache.ts'

/** What is remembered of an id: the event that had it first, and what it was. */
type Entry = readonly [offset: number, appendTime: number, print: string]

/** What an event turns out to be; absent: new. */
export type Verdict = 'duplicate' | 'conflict'

/** Entries looked at for each event that is read: in half a window's traffic, all of them were. */
const sweptPerEvent = 2
const sweepEntriesMax = 1_000

/**
 * The ids that a group has accepted on one task within a window, as state of the task (N7).
 *
 * Whether an event is a duplicate depends on the log alone: is there an event of its id before it, first accepted less
 * than the window ago by the append clock (N3)? So it is decided in log order, when events are read, and whether the
 * first one has been handled yet does not matter. An id becomes state in the unit that finishes its event; what is
 * read again after a crash is told from its own entry by the offset. What has left the window is deleted in passing.
 */
export class Inbox {
  readonly #engine: Engine
  readonly #task: TaskId
  readonly #windowMs: number
  readonly #cells: StateCache
  /** Events that were read and are not finished. */
  readonly #accepted = new Map<string, Entry>()
  #newest = 0
  #sweptTo: string | undefined
  #sweepDue = 0

  constructor(engine: Engine, task: TaskId, windowMs: number) {
    this.#engine = engine
    this.#task = task
    this.#windowMs = windowMs
    this.#cells = new StateCache(engine, task, [])
  }

  /** Judges events that were read, by offset. To be called once for each, in log order. */
  async judge(events: readonly StoredEvent[]): Promise<ReadonlyMap<number, Verdict>> {
    const verdicts = new Map<number, Verdict>()
    await this.#cells.prefetch(
      storeNames.inbox,
      events.map(({ id }) => id),
    )
    for (const event of events) {
      const known = this.#accepted.get(event.id) ?? (await this.#stored(event.id))
      const verdict = this.#verdict(event, known)
      if (verdict !== undefined) verdicts.set(event.offset, verdict)
    }
    this.#sweepDue += events.length * sweptPerEvent
    if (events.length > 0) await this.#sweep()
    return verdicts
  }

  /** The event was handled or given up: from the open unit on, its id is known. */
  finished({ id, offset }: Pick<StoredEvent, 'id' | 'offset'>): void {
    const entry = this.#accepted.get(id)
    if (entry?.[0] !== offset) return
    this.#accepted.delete(id)
    this.#cells.apply(storeNames.inbox, id, { text: JSON.stringify(entry), primitive: undefined })
  }

  /** Changes for the unit that is being sealed. */
  seal(): StateChanges[] {
    return this.#cells.seal()
  }

  /** Called when every sealed unit is committed. */
  trim(): void {
    this.#cells.trim()
  }

  #verdict(event: StoredEvent, known: Entry | undefined): Verdict | undefined {
    this.#newest = Math.max(this.#newest, event.appendTime)
    // An entry of this event, or of a later one: it was finished in an earlier life, which the window knows.
    if (known !== undefined && known[0] >= event.offset) return undefined
    const print = fingerprint(event)
    if (known === undefined || this.#hasLeft(known)) {
      this.#accepted.set(event.id, [event.offset, this.#newest, print])
      return undefined
    }
    return known[2] === print ? 'duplicate' : 'conflict'
  }

  #hasLeft([, time]: Entry): boolean {
    return this.#newest - time >= this.#windowMs
  }

  async #stored(id: string): Promise<Entry | undefined> {
    const cell = this.#cells.peek(storeNames.inbox, id) ?? (await this.#cells.fetch(storeNames.inbox, id))
    return entryOf(cell.stored)
  }

  /** Goes round and round over the store, as fast as events come. */
  async #sweep(): Promise<void> {
    const limit = Math.min(this.#sweepDue, sweepEntriesMax)
    this.#sweepDue -= limit
    const { inbox: store } = storeNames
    const entries = await this.#engine.scanState({ task: this.#task, store, after: this.#sweptTo, limit })
    this.#sweptTo = entries.length < limit ? undefined : entries.at(-1)!.key
    for (const { key, value } of entries) {
      const cell = this.#cells.peek(store, key)
      const entry = entryOf(cell === undefined ? value : cell.stored)
      if (entry !== undefined && this.#hasLeft(entry))
        this.#cells.apply(store, key, { text: undefined, primitive: undefined })
    }
  }
}

/** Written by `Inbox.finished` alone. */
function entryOf(text: string | undefined): Entry | undefined {
  return text === undefined ? undefined : JSON.parse(text)
}
