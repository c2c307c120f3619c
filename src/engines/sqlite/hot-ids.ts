/**
 * Ids of the newest part of the log: an open-addressing table from 53-bit hash to place, 16 bytes a slot.
 * Equal hashes of different ids stand side by side; the caller compares ids.
 */
export class HotIds {
  #hashes: Float64Array
  #places: Float64Array
  #mask: number
  size = 0

  constructor(slots = 1024) {
    this.#hashes = new Float64Array(slots)
    this.#places = new Float64Array(slots)
    this.#mask = slots - 1
  }

  get bytes(): number {
    return this.#hashes.byteLength + this.#places.byteLength
  }

  add(hash: number, place: number): void {
    if (this.size * 3 >= this.#hashes.length * 2) this.#grow()
    this.#put(hash, place)
    this.size++
  }

  /** Whether any id with this hash may be here. */
  has(hash: number): boolean {
    return this.#slotOf(hash) >= 0
  }

  /** Places of all ids with this hash. */
  find(hash: number): number[] {
    const found: number[] = []
    for (let slot = hash & this.#mask; this.#hashes[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] === hash) found.push(this.#places[slot]!)
    }
    return found
  }

  /** All entries, sorted by hash: what a sealed segment is made of. */
  sorted(): { hashes: Float64Array; places: Float64Array } {
    const hashes = this.#hashes.filter((hash) => hash !== 0).sort()
    const places = new Float64Array(hashes.length)
    for (let i = 0; i < hashes.length; i++) {
      const hash = hashes[i]!
      if (hash !== hashes[i - 1]) places[i] = this.#places[this.#slotOf(hash)]!
      else places[i] = this.#twin(hash, i - hashes.indexOf(hash))
    }
    return { hashes, places }
  }

  /** The n-th entry with this hash. */
  #twin(hash: number, n: number): number {
    return this.find(hash)[n]!
  }

  #slotOf(hash: number): number {
    for (let slot = hash & this.#mask; this.#hashes[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] === hash) return slot
    }
    return -1
  }

  #put(hash: number, place: number): void {
    let slot = hash & this.#mask
    while (this.#hashes[slot] !== 0) slot = (slot + 1) & this.#mask
    this.#hashes[slot] = hash
    this.#places[slot] = place
  }

  #grow(): void {
    const hashes = this.#hashes
    const places = this.#places
    this.#hashes = new Float64Array(hashes.length * 2)
    this.#places = new Float64Array(hashes.length * 2)
    this.#mask = this.#hashes.length - 1
    for (let slot = 0; slot < hashes.length; slot++)
      if (hashes[slot] !== 0) this.#put(hashes[slot]!, places[slot]!)
  }
}
