/** Entries of a chunk on average: two rows of this size fill a page. */
const entriesPerChunk = 230
const bytesPerEntry = 16
/** Chunk numbers of a generation; with the generation's they form the rowid. */
const chunksPerGeneration = 2 ** 24

/** Hashes and places of some ids, sorted by hash: what one row of a sealed generation holds. */
export interface IdChunk {
  readonly count: number
  readonly hi: Uint32Array
  readonly lo: Uint32Array
  readonly places: Float64Array
}

export function chunksFor(entries: number): number {
  return Math.max(1, Math.ceil(entries / entriesPerChunk))
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
}

/** Places first, so that every column is aligned. */
export function decodeChunk(blob: unknown): IdChunk {
  if (!(blob instanceof Uint8Array)) return emptyChunk
  const count = blob.length / bytesPerEntry
  // A value that SQLite gave us has memory of its own, so it is aligned already.
  const isAligned = blob.byteOffset % bytesPerEntry === 0
  const { buffer, byteOffset: at } = isAligned ? blob : Uint8Array.from(blob)
  return {
    count,
    places: new Float64Array(buffer, at, count),
    hi: new Uint32Array(buffer, at + count * 8, count),
    lo: new Uint32Array(buffer, at + count * 12, count),
  }
}

/** Collects the entries of one chunk in any order and gives them out sorted. */
export class ChunkCollector {
  #hi = new Uint32Array(1024)
  #lo = new Uint32Array(1024)
  #places = new Float64Array(1024)
  #count = 0

  add(hi: number, lo: number, place: number): void {
    if (this.#count === this.#hi.length) this.#grow()
    // The source is almost sorted, so an entry seldom moves far.
    let at = this.#count++
    while (at > 0 && (this.#hi[at - 1]! > hi || (this.#hi[at - 1] === hi && this.#lo[at - 1]! > lo))) {
      this.#hi[at] = this.#hi[at - 1]!
      this.#lo[at] = this.#lo[at - 1]!
      this.#places[at] = this.#places[at - 1]!
      at--
    }
    this.#hi[at] = hi
    this.#lo[at] = lo
    this.#places[at] = place
  }

  get count(): number {
    return this.#count
  }

  /** The chunk as its row stores it; empties the collector. */
  take(): Uint8Array {
    const count = this.#count
    this.#count = 0
    const buffer = new ArrayBuffer(count * bytesPerEntry)
    new Float64Array(buffer, 0, count).set(this.#places.subarray(0, count))
    new Uint32Array(buffer, count * 8, count).set(this.#hi.subarray(0, count))
    new Uint32Array(buffer, count * 12, count).set(this.#lo.subarray(0, count))
    return new Uint8Array(buffer)
  }

  #grow(): void {
    const size = this.#hi.length * 2
    this.#hi = grown(this.#hi, new Uint32Array(size))
    this.#lo = grown(this.#lo, new Uint32Array(size))
    this.#places = grown(this.#places, new Float64Array(size))
  }
}

function grown<T extends Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}
