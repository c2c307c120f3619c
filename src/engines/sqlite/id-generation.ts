import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SemelError } from '../../errors.ts'
import { giveBack } from './give-back.ts'
import { chunkOf, chunkRow, decodeChunk, type IdChunk } from './id-chunk.ts'
import { Sighting } from './id-entry.ts'
import { IdFilter } from './id-filter.ts'
import { type Marks, sameMark } from './marks.ts'

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
  /** Bytes of each entry of its chunks: with marks or without. */
  readonly entryBytes: number
}

/** Reads and writes the rows that generations consist of. Shared by all topics of a writer. */
export class GenerationRows {
  readonly #file: string
  readonly #chunk: StatementSync
  readonly #insertChunk: StatementSync
  readonly #insertFilter: StatementSync
  readonly #filters: StatementSync
  readonly #deleteChunks: StatementSync
  readonly #deleteFilters: StatementSync
  readonly #deleteGeneration: StatementSync

  constructor(database: DatabaseSync, file: string) {
    this.#file = file
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

  chunk({ id, entryBytes }: GenerationRow, chunk: number): IdChunk {
    const decoded = decodeChunk(this.#chunk.get(chunkRow(id, chunk))?.entries, entryBytes)
    if (decoded !== undefined) return decoded
    throw new SemelError(
      'STORAGE_CORRUPT',
      `${this.#file} is damaged: row ${chunkRow(id, chunk)} of semel_id_chunk does not match its checksum`,
      { hint: 'keep a copy of the file, then restore from a backup; nothing was deleted or skipped' },
    )
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
  #filter: IdFilter
  readonly #rows: GenerationRows

  constructor(row: GenerationRow, filter: IdFilter, rows: GenerationRows) {
    this.row = row
    this.#filter = filter
    this.#rows = rows
  }

  get bytes(): number {
    return this.#filter.words.byteLength
  }

  /** Gives the filter's memory back. Its chunks can still be read. */
  release(): void {
    if (this.#filter === IdFilter.open) return
    giveBack(this.#filter.words)
    // Whoever asks now has to look at the chunks.
    this.#filter = IdFilter.open
  }

  mayHold(hi: number, lo: number): boolean {
    return this.#filter.mayHold(hi, lo)
  }

  /** Adds the places of all its ids with this hash to `found`: one row read. */
  find(hi: number, lo: number, found: number[]): void {
    const chunk = this.#rows.chunk(this.row, chunkOf(hi, this.row.chunks))
    for (let i = firstAtLeast(chunk.hi, hi); i < chunk.count && chunk.hi[i] === hi; i++) {
      if (chunk.lo[i] === lo) found.push(chunk.places[i]!)
    }
  }

  /** Place of the entry with this hash and mark; `Sighting` if there is none. */
  placeOfMark(hi: number, lo: number, marks: Marks, at: number): number {
    const chunk = this.#rows.chunk(this.row, chunkOf(hi, this.row.chunks))
    let sighting: number = Sighting.none
    for (let i = firstAtLeast(chunk.hi, hi); i < chunk.count && chunk.hi[i] === hi; i++) {
      if (chunk.lo[i] !== lo) continue
      if (sameMark(chunk.marks, i * chunk.markStep, marks, at)) return chunk.places[i]!
      sighting = Sighting.unsure
    }
    return sighting
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
