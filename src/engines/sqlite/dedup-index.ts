import { HotIds } from './hot-ids.ts'
import { Sighting } from './id-entry.ts'
import type { IdGeneration } from './id-generation.ts'
import { isMarked, type Marks, noMark } from './marks.ts'

/** Ids that no longer grow: they are being sealed. */
export interface FrozenIds {
  readonly ids: HotIds
  /** Next offset of every partition, by its number in the file, when they were frozen: all below is in here or sealed. */
  readonly ends: ReadonlyMap<number, number>
  readonly oldestMs: number
  readonly newestMs: number
}

const entryNumbers = 4
/** Numbers that stay allocated for what transactions add; a transaction may need more for once. */
const addedNumbersKept = 2 ** 16
/** A new hot table is so much smaller than the one before: until it has grown, that is sealed and gone. */
const newHotShare = 1 / 4

/** An id to be remembered. */
export interface NewId {
  readonly hi: number
  readonly lo: number
  readonly place: number
  /** Its mark is at `at` of them. */
  readonly marks: Marks
  readonly at: number
}

/**
 * The ids of one topic inside its window (N1 to N5): 64-bit hash to place of the first event with that id.
 *
 *  HOT     the newest ids, a table in memory, rebuilt from the log at open
 *  FROZEN  a full hot table; it is being written to the file in steps (`IdKeeper`)
 *  SEALED  generations on disk, sorted by hash, each with a small filter in memory; dropped whole when expired
 * What is found by hash is only a candidate: the caller compares with the id in the log row, and with the window.
 */
export class DedupIndex {
  #hot = new HotIds()
  #oldestMs = Number.POSITIVE_INFINITY
  #newestMs = Number.NEGATIVE_INFINITY
  #frozen: FrozenIds | undefined
  #generations: readonly IdGeneration[] = []
  /** What this transaction added: high, low, place, and the place it stands for now (0 if none). */
  #added = new Float64Array(addedNumbersKept)
  #addedEnd = 0

  get hotSize(): number {
    return this.#hot.size
  }

  get size(): number {
    const sealed = this.#generations.reduce((sum, { row }) => sum + row.entries, 0)
    return this.#hot.size + (this.#frozen?.ids.size ?? 0) + sealed
  }

  get bytes(): number {
    const sealed = this.#generations.reduce((sum, { bytes }) => sum + bytes, 0)
    return this.#hot.bytes + (this.#frozen?.ids.bytes ?? 0) + sealed
  }

  get generations(): readonly IdGeneration[] {
    return this.#generations
  }

  get frozen(): FrozenIds | undefined {
    return this.#frozen
  }

  /** `false`: an id with this hash is surely new. */
  mayKnow(hi: number, lo: number): boolean {
    if (this.#hot.has(hi, lo) || this.#frozen?.ids.has(hi, lo) === true) return true
    const generations = this.#generations
    for (let i = 0; i < generations.length; i++) if (generations[i]!.mayHold(hi, lo)) return true
    return false
  }

  /** Places of all events whose id has this hash, the newest generation first. */
  candidates(hi: number, lo: number): number[] {
    const found: number[] = []
    this.#hot.find(hi, lo, found)
    this.#frozen?.ids.find(hi, lo, found)
    for (let i = this.#generations.length - 1; i >= 0; i--) {
      const generation = this.#generations[i]!
      if (generation.mayHold(hi, lo)) generation.find(hi, lo, found)
    }
    return found
  }

  /**
   * Place of the same event, if that is certain without its row: the newest part of the index that knows the hash has
   * the mark, too, and nothing of that part is out of the window. Otherwise 0, and the row decides.
   */
  placeOfSame(hi: number, lo: number, marks: Marks, at: number, sinceMs: number): number {
    if (!isMarked(marks, at)) return 0
    const place = this.#hot.placeOfMark(hi, lo, marks, at)
    if (place !== Sighting.none) return this.#oldestMs > sinceMs ? place : 0
    const frozen = this.#frozen
    if (frozen !== undefined) {
      const found = frozen.ids.placeOfMark(hi, lo, marks, at)
      if (found !== Sighting.none) return frozen.oldestMs > sinceMs ? found : 0
    }
    for (let i = this.#generations.length - 1; i >= 0; i--) {
      const generation = this.#generations[i]!
      if (!generation.mayHold(hi, lo)) continue
      if (generation.row.oldestMs <= sinceMs) return 0
      const found = generation.placeOfMark(hi, lo, marks, at)
      if (found !== Sighting.none) return found
    }
    return 0
  }

  /**
   * Remembers an id from now on. `expired` is the place where the same id was accepted before, out of its window:
   * the entry is reused, or an id that comes back for ever would fill the table.
   */
  add({ hi, lo, place, marks, at }: NewId, appendMs: number, expired = 0): void {
    const replaced = expired !== 0 && this.#hot.replace(hi, lo, expired, place, marks, at)
    if (!replaced) this.#hot.add(hi, lo, place, marks, at)
    this.#noteAdded(hi, lo, place, replaced ? expired : 0)
    if (appendMs < this.#oldestMs) this.#oldestMs = appendMs
    if (appendMs > this.#newestMs) this.#newestMs = appendMs
  }

  /** Ids with these hashes, high halves and low by turns, are about to be added. */
  fetch(hashes: Uint32Array): void {
    this.#hot.fetch(hashes)
  }

  /** The transaction is durable: what it added stays. */
  keep(): void {
    this.#addedEnd = 0
    if (this.#added.length > addedNumbersKept) this.#added = new Float64Array(addedNumbersKept)
  }

  /** The transaction was rolled back. */
  undo(): void {
    for (let i = this.#addedEnd - entryNumbers; i >= 0; i -= entryNumbers) {
      const [hi, lo, place, expired] = this.#added.subarray(i, i + entryNumbers) as unknown as readonly [
        number,
        number,
        number,
        number,
      ]
      if (expired === 0) this.#hot.undo(hi, lo, place)
      // Its mark is gone: from now on the row decides.
      else this.#hot.replace(hi, lo, place, expired, noMark, 0)
    }
    this.keep()
  }

  #noteAdded(hi: number, lo: number, place: number, expired: number): void {
    const at = this.#addedEnd
    if (at === this.#added.length) {
      const larger = new Float64Array(2 * at)
      larger.set(this.#added)
      this.#added = larger
    }
    this.#added[at] = hi
    this.#added[at + 1] = lo
    this.#added[at + 2] = place
    this.#added[at + 3] = expired
    this.#addedEnd = at + entryNumbers
  }

  /** Starts a new hot table. Only between transactions, when memory and file agree. */
  freeze(ends: ReadonlyMap<number, number>): FrozenIds {
    const frozen = { ids: this.#hot, ends, oldestMs: this.#oldestMs, newestMs: this.#newestMs }
    this.#frozen = frozen
    this.#hot = new HotIds(frozen.ids.size * newHotShare)
    this.#oldestMs = Number.POSITIVE_INFINITY
    this.#newestMs = Number.NEGATIVE_INFINITY
    return frozen
  }

  /** Sealed generations in order of time. Those it had and that are no more among them are released. */
  setGenerations(generations: readonly IdGeneration[]): void {
    for (const before of this.#generations) if (!generations.includes(before)) before.release()
    this.#generations = generations
  }

  /** The frozen ids are sealed now. */
  thaw(): void {
    this.#frozen?.ids.release()
    this.#frozen = undefined
  }

  /** Another process sealed ids up to these offsets; ours are not needed twice. `isSealed` tells by place. */
  forgetSealed(isSealed: (place: number) => boolean): void {
    this.#hot = this.#hot.filter((place) => !isSealed(place))
    if (this.#frozen === undefined) return
    const { ids, oldestMs, newestMs } = this.#frozen
    const left = ids.filter((place) => !isSealed(place))
    this.#frozen = undefined
    // A generation that does not know how new its ids are would be dropped while they are inside the window.
    this.#oldestMs = Math.min(this.#oldestMs, oldestMs)
    this.#newestMs = Math.max(this.#newestMs, newestMs)
    left.visit(0, left.slots, (hi, lo, place, marks, at) => this.#hot.add(hi, lo, place, marks, at))
  }
}
