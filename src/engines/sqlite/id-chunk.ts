import { crc32 } from 'node:zlib'
import { copyMark, type Marks, markWords, noMark } from './marks.ts'

/** Bytes of a chunk's entries on average: two rows of this size fill a page. */
const chunkBytes = 3_680
/** Hash and place. */
export const plainEntryBytes = 16
/** Hash, place and mark. */
export const markedEntryBytes = 32
const checksumBytes = 4
/** Chunk numbers of a generation; with the generation's they form the rowid. */
const chunksPerGeneration = 2 ** 24

/** Hashes, places and perhaps marks of some ids, sorted by hash: what one row of a sealed generation holds. */
export interface IdChunk {
  readonly count: number
  readonly hi: Uint32Array
  readonly lo: Uint32Array
  readonly places: Float64Array
  /** The mark of entry `i` is at `i * markStep`; where entries have none they share one. */
  readonly marks: Marks
  readonly markStep: number
}

export function chunksFor(entries: number, entryBytes: number): number {
  return Math.max(1, Math.ceil((entries * entryBytes) / chunkBytes))
}

/** A generation's chunks divide the range of hashes evenly, so a look-up knows the row. */
export function chunkOf(hi: number, chunks: number): number {
  return Math.floor((hi * chunks) / 2 ** 32)
}

export function chunkRow(generation: number, chunk: number): number {
  return generation * chunksPerGeneration + chunk
}

export const emptyChunk: IdChunk = {
  count: 0,
  hi: new Uint32Array(0),
  lo: new Uint32Array(0),
  places: new Float64Array(0),
  marks: noMark,
  markStep: 0,
}

/**
 * Places first, so that every column is aligned. A mark decides without the row, so a chunk that has marks ends with
 * a checksum (F3): `undefined` if it is damaged.
 */
export function decodeChunk(blob: unknown, entryBytes: number): IdChunk | undefined {
  const hasMarks = entryBytes === markedEntryBytes
  if (!(blob instanceof Uint8Array)) return hasMarks ? undefined : emptyChunk
  const count = Math.floor(blob.length / entryBytes)
  if (hasMarks && !isSound(blob, count * entryBytes)) return undefined
  // A value that SQLite gave us has memory of its own, so it is aligned already.
  const isAligned = blob.byteOffset % plainEntryBytes === 0
  const { buffer, byteOffset: at } = isAligned ? blob : Uint8Array.from(blob)
  return {
    count,
    places: new Float64Array(buffer, at, count),
    hi: new Uint32Array(buffer, at + count * 8, count),
    lo: new Uint32Array(buffer, at + count * 12, count),
    marks: hasMarks ? new Uint32Array(buffer, at + count * plainEntryBytes, markWords * count) : noMark,
    markStep: hasMarks ? markWords : 0,
  }
}

function isSound(blob: Uint8Array, length: number): boolean {
  if (blob.length !== length + checksumBytes) return false
  const { buffer, byteOffset } = blob
  return new DataView(buffer, byteOffset).getUint32(length, true) === crc32(blob.subarray(0, length))
}

/** Collects the entries of one chunk in any order and gives them out sorted. */
export class ChunkCollector {
  readonly #entryBytes: number
  #hi = new Uint32Array(1024)
  #lo = new Uint32Array(1024)
  #places = new Float64Array(1024)
  #marks: Marks = new Uint32Array(markWords * 1024)
  #count = 0

  constructor(entryBytes: number) {
    this.#entryBytes = entryBytes
  }

  add(hi: number, lo: number, place: number, marks: Marks, markAt: number): void {
    if (this.#count === this.#hi.length) this.#grow()
    // The source is almost sorted, so an entry seldom moves far.
    let at = this.#count++
    while (at > 0 && (this.#hi[at - 1]! > hi || (this.#hi[at - 1] === hi && this.#lo[at - 1]! > lo))) {
      this.#hi[at] = this.#hi[at - 1]!
      this.#lo[at] = this.#lo[at - 1]!
      this.#places[at] = this.#places[at - 1]!
      copyMark(this.#marks, at * markWords, this.#marks, (at - 1) * markWords)
      at--
    }
    this.#hi[at] = hi
    this.#lo[at] = lo
    this.#places[at] = place
    copyMark(this.#marks, at * markWords, marks, markAt)
  }

  get count(): number {
    return this.#count
  }

  /** The chunk as its row stores it; empties the collector. */
  take(): Uint8Array {
    const count = this.#count
    this.#count = 0
    const length = count * this.#entryBytes
    const hasMarks = this.#entryBytes === markedEntryBytes
    const buffer = new ArrayBuffer(length + (hasMarks ? checksumBytes : 0))
    new Float64Array(buffer, 0, count).set(this.#places.subarray(0, count))
    new Uint32Array(buffer, count * 8, count).set(this.#hi.subarray(0, count))
    new Uint32Array(buffer, count * 12, count).set(this.#lo.subarray(0, count))
    if (hasMarks) {
      const words = markWords * count
      new Uint32Array(buffer, count * plainEntryBytes, words).set(this.#marks.subarray(0, words))
      new DataView(buffer).setUint32(length, crc32(new Uint8Array(buffer, 0, length)), true)
    }
    return new Uint8Array(buffer)
  }

  #grow(): void {
    const size = this.#hi.length * 2
    this.#hi = grown(this.#hi, new Uint32Array(size))
    this.#lo = grown(this.#lo, new Uint32Array(size))
    this.#places = grown(this.#places, new Float64Array(size))
    this.#marks = grown(this.#marks, new Uint32Array(markWords * size))
  }
}

function grown<T extends Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}
