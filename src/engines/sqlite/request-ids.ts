const slotsMin = 2 ** 15

/**
 * The ids of one request by hash, each with its number in the request, to see whether one comes twice. Equal hashes
 * are not yet equal ids. Kept from request to request: a round number tells old entries from new ones.
 */
export class RequestIds {
  #hi = new Uint32Array(slotsMin)
  #lo = new Uint32Array(slotsMin)
  #number = new Uint32Array(slotsMin)
  #round = new Uint32Array(slotsMin)
  #now = 0

  /** Forgets everything, for the next request of at most `ids` ids. */
  start(ids: number): void {
    this.#now = (this.#now + 1) >>> 0
    if (this.#now !== 0 && ids * 2 <= this.#hi.length) return
    const length = Math.max(slotsMin, 2 ** Math.ceil(Math.log2(ids * 2)))
    this.#hi = new Uint32Array(length)
    this.#lo = new Uint32Array(length)
    this.#number = new Uint32Array(length)
    this.#round = new Uint32Array(length)
    this.#now = 1
  }

  /** Number of the first id with this hash, or -1 if this is the first. */
  add(hi: number, lo: number, number: number): number {
    const mask = this.#hi.length - 1
    let slot = lo & mask
    while (this.#round[slot] === this.#now) {
      if (this.#hi[slot] === hi && this.#lo[slot] === lo) return this.#number[slot]!
      slot = (slot + 1) & mask
    }
    this.#round[slot] = this.#now
    this.#hi[slot] = hi
    this.#lo[slot] = lo
    this.#number[slot] = number
    return -1
  }
}
