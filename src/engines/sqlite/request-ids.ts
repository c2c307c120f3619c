const slots = 2 ** 15

/**
 * Tells whether two ids of one request hash alike. Equal hashes are not yet equal ids, but so rare otherwise that
 * the slow path may decide.
 */
export class RequestIds {
  #hi = new Uint32Array(slots)
  #lo = new Uint32Array(slots)
  #round = new Uint32Array(slots)
  #now = 0
  #size = 0

  /** Forgets everything, for the next request of at most `ids` ids. */
  start(ids: number): void {
    this.#size = 0
    this.#now = (this.#now + 1) >>> 0
    if (this.#now !== 0 && ids * 2 <= this.#hi.length) return
    const length = Math.max(slots, 2 ** Math.ceil(Math.log2(ids * 2)))
    this.#hi = new Uint32Array(length)
    this.#lo = new Uint32Array(length)
    this.#round = new Uint32Array(length)
    this.#now = 1
  }

  /** `false` if it was there before. */
  add(hi: number, lo: number): boolean {
    const mask = this.#hi.length - 1
    let slot = lo & mask
    while (this.#round[slot] === this.#now) {
      if (this.#hi[slot] === hi && this.#lo[slot] === lo) return false
      slot = (slot + 1) & mask
    }
    this.#round[slot] = this.#now
    this.#hi[slot] = hi
    this.#lo[slot] = lo
    this.#size++
    return true
  }

  get size(): number {
    return this.#size
  }
}
