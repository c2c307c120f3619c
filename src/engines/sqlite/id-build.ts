import type { DedupIndex, FrozenIds } from './dedup-index.ts'
import { giveBack } from './give-back.ts'
import { ChunkCollector, chunksFor, markedEntryBytes, plainEntryBytes } from './id-chunk.ts'
import type { TakeEntry } from './id-entry.ts'
import { IdFilter } from './id-filter.ts'
import { type GenerationRow, type GenerationRows, IdGeneration } from './id-generation.ts'
import { GenerationSource, HotSource, type IdSource } from './id-sources.ts'

const filterPartBytes = 64 * 1024

/** What a new generation is made of: frozen ids (a seal), or generations next to each other (a merge). */
export type BuildParts =
  | { readonly kind: 'seal'; readonly frozen: FrozenIds }
  | { readonly kind: 'merge'; readonly generations: readonly IdGeneration[] }

export interface BuildPlan {
  readonly index: DedupIndex
  readonly topicId: number
  readonly generation: number
  readonly parts: BuildParts
}

/**
 * Writes one new generation in steps, each inside a transaction of its own. Nobody sees it before the last step.
 */
export class IdBuild {
  readonly plan: BuildPlan
  readonly row: GenerationRow
  readonly #rows: GenerationRows
  readonly #sources: readonly IdSource[]
  readonly #filter: IdFilter
  readonly #collector: ChunkCollector
  #nextChunk = 0
  #nextFilterPart = 0

  constructor(plan: BuildPlan, rows: GenerationRows) {
    this.plan = plan
    this.#rows = rows
    this.row = rowOf(plan)
    this.#collector = new ChunkCollector(this.row.entryBytes)
    this.#filter = IdFilter.for(this.row.entries)
    const { parts } = plan
    this.#sources =
      parts.kind === 'seal'
        ? [new HotSource(parts.frozen.ids)]
        : parts.generations.map((generation) => new GenerationSource(generation, rows))
  }

  /** Writes until `isLate` says so; `true` when all chunks and the filter are written. */
  step(isLate: () => boolean): boolean {
    while (this.#nextChunk < this.row.chunks) {
      this.#writeChunk()
      if (isLate()) return false
    }
    const bytes = new Uint8Array(this.#filter.words.buffer)
    while (this.#nextFilterPart * filterPartBytes < bytes.length) {
      const from = this.#nextFilterPart * filterPartBytes
      this.#rows.writeFilterPart(
        this.row.id,
        this.#nextFilterPart,
        bytes.subarray(from, from + filterPartBytes),
      )
      this.#nextFilterPart++
      if (isLate()) return false
    }
    return true
  }

  finished(): IdGeneration {
    return new IdGeneration(this.row, this.#filter, this.#rows)
  }

  #writeChunk(): void {
    const bound = Math.ceil(((this.#nextChunk + 1) * 2 ** 32) / this.row.chunks)
    const take: TakeEntry = (hi, lo, place, marks, at) => {
      this.#collector.add(hi, lo, place, marks, at)
      this.#filter.add(hi, lo)
    }
    for (const source of this.#sources) source.takeBelow(bound, take)
    const entries = this.#collector.take()
    this.#rows.writeChunk(this.row.id, this.#nextChunk, entries)
    giveBack(entries)
    this.#nextChunk++
  }
}

function rowOf({ generation: id, parts }: BuildPlan): GenerationRow {
  if (parts.kind === 'seal') {
    const { ids, oldestMs, newestMs } = parts.frozen
    const entryBytes = ids.hasMarks ? markedEntryBytes : plainEntryBytes
    const chunks = chunksFor(ids.size, entryBytes)
    return { id, rank: id, entries: ids.size, chunks, oldestMs, newestMs, entryBytes }
  }
  const rows = parts.generations.map(({ row }) => row)
  const entries = rows.reduce((sum, row) => sum + row.entries, 0)
  const entryBytes = Math.max(...rows.map((row) => row.entryBytes))
  return {
    id,
    rank: rows[0]!.rank,
    entries,
    chunks: chunksFor(entries, entryBytes),
    oldestMs: Math.min(...rows.map((row) => row.oldestMs)),
    newestMs: Math.max(...rows.map((row) => row.newestMs)),
    entryBytes,
  }
}
