import { giveBack } from './give-back.ts'
import type { HotIds } from './hot-ids.ts'
import { chunkOf, emptyChunk, type IdChunk } from './id-chunk.ts'
import type { TakeEntry } from './id-entry.ts'
import type { GenerationRows, IdGeneration } from './id-generation.ts'
import { type Marks, markWords } from './marks.ts'

/** Ids that become a new generation, given out in steps of rising hash. */
export interface IdSource {
  /** Gives out all entries whose high half is below `bound` and was not given out yet. */
  takeBelow(bound: number, take: TakeEntry): void
}

/** An entry that is kept for a later step. */
interface Held {
  readonly hi: number
  readonly lo: number
  readonly place: number
  readonly mark: Marks
}

/**
 * The hot table. Entries stand at their own slot or somewhat behind it, so an entry above the bound is passed over
 * and kept for the next step.
 */
export class HotSource implements IdSource {
  readonly #ids: HotIds
  #slot = 0
  #held: Held[] = []

  constructor(ids: HotIds) {
    this.#ids = ids
  }

  takeBelow(bound: number, take: TakeEntry): void {
    const held = this.#held
    this.#held = []
    const give: TakeEntry = (hi, lo, place, marks, at) => {
      if (hi < bound) take(hi, lo, place, marks, at)
      else this.#held.push({ hi, lo, place, mark: marks.slice(at, at + markWords) })
    }
    for (const { hi, lo, place, mark } of held) give(hi, lo, place, mark, 0)
    this.#slot = this.#ids.visit(this.#slot, this.#ids.slotPast(bound), give)
  }
}

/** A sealed generation, read chunk by chunk. */
export class GenerationSource implements IdSource {
  readonly #generation: IdGeneration
  readonly #rows: GenerationRows
  #chunkNumber = -1
  #chunk: IdChunk = emptyChunk
  #at = 0

  constructor(generation: IdGeneration, rows: GenerationRows) {
    this.#generation = generation
    this.#rows = rows
  }

  takeBelow(bound: number, take: TakeEntry): void {
    const { row } = this.#generation
    const { chunks } = row
    const last = Math.min(chunks - 1, chunkOf(bound - 1, chunks))
    for (;;) {
      for (; this.#at < this.#chunk.count; this.#at++) {
        const { hi, lo, places, marks, markStep } = this.#chunk
        const at = this.#at
        if (hi[at]! >= bound) return
        take(hi[at]!, lo[at]!, places[at]!, marks, at * markStep)
      }
      if (this.#chunkNumber >= last) return
      this.#chunkNumber++
      const done = this.#chunk
      this.#chunk = this.#rows.chunk(row, this.#chunkNumber)
      this.#at = 0
      if (done !== emptyChunk) giveBack(done.places)
    }
  }
}
