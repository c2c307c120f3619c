import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { chunkOf, chunkRow, decodeChunk, type IdChunk } from './id-chunk.ts'
import { IdFilter } from './id-filter.ts'

/** A sealed generation, as its row says. */
export interface GenerationRow {
  readonly id: number
  /** Place in the order of time; a merged generation takes that of its oldest part. */
  readonly rank: number
  readonly entries: number
  readonly chunks: number
  /** Append times of its oldest and newest id. */
  readonly oldestMs: number
  readonly newestMs: number
}

/** Reads and writes the rows that generations consist of. Shared by all topics of a writer. */
export class GenerationRows {
  readonly #chunk: StatementSync
  readonly #insertChunk: StatementSync
  readonly #insertFilter: StatementSync
  readonly #filters: StatementSync
  readonly #deleteChunks: StatementSync
  readonly #deleteFilters: StatementSync
  readonly #deleteGeneration: StatementSync

  constructor(database: DatabaseSync) {
    this.#chunk = database.prepare('select entries from semel_id_chunk where row = ?')
    this.#insertChunk = database.prepare('insert into semel_id_chunk values (?, ?)')
    this.#insertFilter = database.prepare('insert into semel_id_filter values (?, ?)')
    this.#filters = database.prepare(
      'select bits from semel_id_filter where row >= ? and row < ? order by row',
    )
    this.#deleteChunks = database.prepare('delete from semel_id_chunk where row >= ? and row < ?')
    this.#deleteFilters = database.prepare('delete from semel_id_filter where row >= ? and row < ?')
    this.#deleteGeneration = database.prepare('delete from semel_id_generation where id = ?')
  }

  chunk(generation: number, chunk: number): IdChunk {
    return decodeChunk(this.#chunk.get(chunkRow(generation, chunk))?.entries)
  }

  writeChunk(generation: number, chunk: number, entries: Uint8Array): void {
    this.#insertChunk.run(chunkRow(generation, chunk), entries)
  }

  writeFilterPart(generation: number, part: number, bits: Uint8Array): void {
    this.#insertFilter.run(chunkRow(generation, part), bits)
  }

  readFilter(generation: number, entries: number): IdFilter {
    const filter = IdFilter.for(entries)
    const bytes = new Uint8Array(filter.words.buffer)
    let at = 0
    for (const { bits } of this.#filters.iterate(chunkRow(generation, 0), chunkRow(generation + 1, 0))) {
      if (!(bits instanceof Uint8Array)) continue
      bytes.set(bits, at)
      at += bits.length
    }
    return filter
  }

  /** Removes some of a generation's chunks; `true` when nothing of it is left. */
  deleteSome(generation: number, fromChunk: number, toChunk: number, chunks: number): boolean {
    this.#deleteChunks.run(chunkRow(generation, fromChunk), chunkRow(generation, toChunk))
    if (toChunk < chunks) return false
    this.#deleteFilters.run(chunkRow(generation, 0), chunkRow(generation + 1, 0))
    this.#deleteGeneration.run(generation)
    return true
  }
}

/** A sealed generation: its hashes on disk, sorted, and a filter of 14 bits an id in memory. */
export class IdGeneration {
  readonly row: GenerationRow
  readonly #filter: IdFilter
  readonly #rows: GenerationRows

  constructor(row: GenerationRow, filter: IdFilter, rows: GenerationRows) {
    this.row = row
    this.#filter = filter
    this.#rows = rows
  }

  get bytes(): number {
    return this.#filter.words.byteLength
  }

  mayHold(hi: number, lo: number): boolean {
    return this.#filter.mayHold(hi, lo)
  }

  /** Adds the places of all its ids with this hash to `found`: one row read. */
  find(hi: number, lo: number, found: number[]): void {
    const chunk = this.#rows.chunk(this.row.id, chunkOf(hi, this.row.chunks))
    for (let i = firstAtLeast(chunk.hi, hi); i < chunk.count && chunk.hi[i] === hi; i++) {
      if (chunk.lo[i] === lo) found.push(chunk.places[i]!)
    }
  }
}

function firstAtLeast(sorted: Uint32Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
