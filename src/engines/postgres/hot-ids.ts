const slotsMin = 1024
/** Slots behind the last regular one, so that probing hardly ever has to go elsewhere. */
const spareSlots = 256
const loadMax = 0.6

/**
 * The newest ids of a topic: an open-addressing table from 64-bit hash to place (plus one, so that 0 is empty), 16 bytes a slot.
 *
 * The slot is the hash's top bits, so going through the slots meets the hashes almost in order, which is what sealing
 * needs. Equal hashes of different ids stand side by side; the caller compares ids.
 */
export class HotIds {
  #hi: Uint32Array
  #lo: Uint32Array
  #places: Float64Array
  #bits: number
  #size = 0
  /** Entries that found no slot: only where very many hashes are almost equal. */
  #overflow: number[] = []

  constructor(entries = 0) {
    this.#bits = Math.max(10, Math.ceil(Math.log2(Math.max(slotsMin, entries / loadMax))))
    const slots = 2 ** this.#bits + spareSlots
    this.#hi = new Uint32Array(slots)
    this.#lo = new Uint32Array(slots)
    this.#places = new Float64Array(slots)
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#places.length * 16
  }

  add(hi: number, lo: number, place: number): void {
    if (this.#size >= 2 ** this.#bits * loadMax) this.#grow()
    this.#put(hi, lo, place)
    this.#size++
  }

  /** Adds the places of all ids with this hash to `found`. */
  find(hi: number, lo: number, found: number[]): void {
    for (let slot = hi >>> (32 - this.#bits); this.#places[slot]; slot++) {
      if (this.#hi[slot] === hi && this.#lo[slot] === lo) found.push(this.#places[slot]! - 1)
    }
    const overflow = this.#overflow
    for (let i = 0; i < overflow.length; i += 3) {
      if (overflow[i] === hi && overflow[i + 1] === lo) found.push(overflow[i + 2]! - 1)
    }
  }

  /** All entries, their hashes almost in rising order. */
  visit(visit: (hi: number, lo: number, place: number) => void): void {
    for (let i = 0; i < this.#overflow.length; i += 3) {
      visit(this.#overflow[i]!, this.#overflow[i + 1]!, this.#overflow[i + 2]! - 1)
    }
    for (let slot = 0; slot < this.#places.length; slot++) {
      const place = this.#places[slot]!
      if (place > 0) visit(this.#hi[slot]!, this.#lo[slot]!, place - 1)
    }
  }

  #put(hi: number, lo: number, place: number): void {
    let slot = hi >>> (32 - this.#bits)
    while (this.#places[slot]) slot++
    if (slot >= this.#places.length) {
      this.#overflow.push(hi, lo, place + 1)
      return
    }
    this.#hi[slot] = hi
    this.#lo[slot] = lo
    this.#places[slot] = place + 1
  }

  #grow(): void {
    const larger = new HotIds(2 ** (this.#bits + 1) * loadMax)
    this.visit((hi, lo, place) => larger.#put(hi, lo, place))
    this.#hi = larger.#hi
    this.#lo = larger.#lo
    this.#places = larger.#places
    this.#bits = larger.#bits
    this.#overflow = larger.#overflow
  }
}
