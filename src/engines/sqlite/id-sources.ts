import type { HotIds } from './hot-ids.ts'
import { chunkOf, emptyChunk, type IdChunk } from './id-chunk.ts'
import type { GenerationRows, IdGeneration } from './id-generation.ts'

export type TakeEntry = (hi: number, lo: number, place: number) => void

/** Ids that become a new generation, given out in steps of rising hash. */
export interface IdSource {
  /** Gives out all entries whose high half is below `bound` and was not given out yet. */
  takeBelow(bound: number, take: TakeEntry): void
}

/**
 * The hot table. Entries stand at their own slot or somewhat behind it, so an entry above the bound is passed over
 * and kept for the next step.
 */
export class HotSource implements IdSource {
  readonly #ids: HotIds
  #slot = 0
  #held: number[] = []

  constructor(ids: HotIds) {
    this.#ids = ids
  }

  takeBelow(bound: number, take: TakeEntry): void {
    const held = this.#held
    this.#held = []
    for (let i = 0; i < held.length; i += 3) this.#give(held[i]!, held[i + 1]!, held[i + 2]!, bound, take)
    this.#slot = this.#ids.visit(this.#slot, this.#ids.slotPast(bound), (hi, lo, place) => {
      this.#give(hi, lo, place, bound, take)
    })
  }

  #give(hi: number, lo: number, place: number, bound: number, take: TakeEntry): void {
    if (hi < bound) take(hi, lo, place)
    else this.#held.push(hi, lo, place)
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
    const { id, chunks } = this.#generation.row
    const last = Math.min(chunks - 1, chunkOf(bound - 1, chunks))
    for (;;) {
      for (; this.#at < this.#chunk.count; this.#at++) {
        const hi = this.#chunk.hi[this.#at]!
        if (hi >= bound) return
        take(hi, this.#chunk.lo[this.#at]!, this.#chunk.places[this.#at]!)
      }
      if (this.#chunkNumber >= last) return
      this.#chunkNumber++
      this.#chunk = this.#rows.chunk(id, this.#chunkNumber)
      this.#at = 0
    }
  }
}
