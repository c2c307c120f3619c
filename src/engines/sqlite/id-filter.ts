const bitsPerId = 12
const probes = 6
const blockBytes = 64

/**
 * Blocked Bloom filter over 53-bit hashes: all probes of an id fall into one cache line (Putze, Sanders, Singler,
 * "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). May only answer "surely not here" (N5).
 */
export class IdFilter {
  readonly bytes: Uint8Array
  readonly #blocks: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#blocks = bytes.length / blockBytes
  }

  static of(hashes: Float64Array): IdFilter {
    const blocks = Math.max(1, Math.ceil((hashes.length * bitsPerId) / 8 / blockBytes))
    const filter = new IdFilter(new Uint8Array(blocks * blockBytes))
    for (const hash of hashes) filter.#add(hash)
    return filter
  }

  mayHold(hash: number): boolean {
    const block = this.#blockOf(hash)
    let bits = mix(hash)
    for (let i = 0; i < probes; i++) {
      const bit = bits & 511
      if ((this.bytes[block + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false
      bits = Math.imul(bits, 0x9e3779b1) >>> 9
    }
    return true
  }

  #add(hash: number): void {
    const block = this.#blockOf(hash)
    let bits = mix(hash)
    for (let i = 0; i < probes; i++) {
      const bit = bits & 511
      this.bytes[block + (bit >>> 3)]! |= 1 << (bit & 7)
      bits = Math.imul(bits, 0x9e3779b1) >>> 9
    }
  }

  #blockOf(hash: number): number {
    return (Math.floor(hash / 2 ** 21) % this.#blocks) * blockBytes
  }
}

function mix(hash: number): number {
  let h = hash >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  return (h ^ (h >>> 15)) >>> 0
}
