const slotsMin = 1024
/** Slots behind the last regular one, so that probing never has to wrap around. */
const spareSlots = 256
const loadMax = 0.6

/** Place of an entry whose transaction was rolled back. */
const undone = -1

/**
 * Ids of the newest part of the log: an open-addressing table from 64-bit hash to place, 16 bytes a slot.
 *
 * The slot is the hash's top bits, so going through the slots meets the hashes almost in order: sealing needs no
 * sort of the whole table and can stop anywhere. Equal hashes of different ids stand side by side; the caller
 * compares ids.
 */
export class HotIds {
  #hi: Uint32Array
  #lo: Uint32Array
  #places: Float64Array
  #bits: number
  #size = 0
  #longestMove = 0
  /** Entries (high, low, place) that found no slot: only where very many hashes are almost equal. */
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
    if (this.#size >= 2 ** this.#bits * loadMax) this.#rebuild(this.#bits + 1)
    this.#put(hi, lo, place)
    this.#size++
  }

  /** Whether an id with this hash may be here. */
  has(hi: number, lo: number): boolean {
    const his = this.#hi
    const places = this.#places
    for (let slot = hi >>> (32 - this.#bits); places[slot]; slot++) {
      if (his[slot] === hi && this.#lo[slot] === lo && places[slot] !== undone) return true
    }
    return this.#overflow.length > 0 && this.#inOverflow(hi, lo).length > 0
  }

  /** Adds the places of all ids with this hash to `found`. */
  find(hi: number, lo: number, found: number[]): void {
    for (let slot = this.#slotOf(hi); this.#places[slot]; slot++) {
      const place = this.#places[slot]!
      if (this.#hi[slot] === hi && this.#lo[slot] === lo && place !== undone) found.push(place)
    }
    for (const at of this.#inOverflow(hi, lo)) found.push(this.#overflow[at]!)
  }

  /** Puts another place where `before` is; `false` if there is no such entry. */
  replace(hi: number, lo: number, before: number, place: number): boolean {
    for (let slot = this.#slotOf(hi); this.#places[slot]; slot++) {
      if (this.#hi[slot] === hi && this.#lo[slot] === lo && this.#places[slot] === before) {
        this.#places[slot] = place
        return true
      }
    }
    const at = this.#inOverflow(hi, lo).find((index) => this.#overflow[index] === before)
    if (at !== undefined) this.#overflow[at] = place
    return at !== undefined
  }

  /** Takes back an `add` of a transaction that was rolled back. */
  undo(hi: number, lo: number, place: number): void {
    this.replace(hi, lo, place, undone)
  }

  /** Slots in all: the bound for `visit`. */
  get slots(): number {
    return this.#places.length
  }

  /** Gives `visit` the entries of the slots from `from` to before `to`. Answers the next slot. */
  visit(from: number, to: number, visit: (hi: number, lo: number, place: number) => void): number {
    const end = Math.max(from, Math.min(to, this.#places.length))
    if (from === 0) this.#visitOverflow(visit)
    for (let slot = from; slot < end; slot++) {
      const place = this.#places[slot]!
      if (place > 0) visit(this.#hi[slot]!, this.#lo[slot]!, place)
    }
    return end
  }

  /** Slots before this one hold everything whose high half is below `bound`: probing moves an entry so far at most. */
  slotPast(bound: number): number {
    return Math.floor(bound / 2 ** (32 - this.#bits)) + this.#longestMove + 1
  }

  /** Forgets what `keep` does not want. */
  filter(keep: (place: number) => boolean): HotIds {
    const kept = new HotIds(this.#size)
    this.visit(0, this.slots, (hi, lo, place) => {
      if (keep(place)) kept.add(hi, lo, place)
    })
    return kept
  }

  #slotOf(hi: number): number {
    return hi >>> (32 - this.#bits)
  }

  #put(hi: number, lo: number, place: number): void {
    const first = this.#slotOf(hi)
    let slot = first
    while (this.#places[slot]) slot++
    if (slot >= this.#places.length) {
      this.#overflow.push(hi, lo, place)
      return
    }
    if (slot - first > this.#longestMove) this.#longestMove = slot - first
    this.#hi[slot] = hi
    this.#lo[slot] = lo
    this.#places[slot] = place
  }

  /** Indexes of the places of a hash that found no slot. */
  #inOverflow(hi: number, lo: number): number[] {
    const found: number[] = []
    for (let i = 0; i < this.#overflow.length; i += 3) {
      const isHere = this.#overflow[i] === hi && this.#overflow[i + 1] === lo
      if (isHere && this.#overflow[i + 2] !== undone) found.push(i + 2)
    }
    return found
  }

  #visitOverflow(visit: (hi: number, lo: number, place: number) => void): void {
    for (let i = 0; i < this.#overflow.length; i += 3) {
      const place = this.#overflow[i + 2]!
      if (place > 0) visit(this.#overflow[i]!, this.#overflow[i + 1]!, place)
    }
  }

  #rebuild(bits: number): void {
    const [hi, lo, places, overflow] = [this.#hi, this.#lo, this.#places, this.#overflow]
    const slots = 2 ** bits + spareSlots
    this.#bits = bits
    this.#longestMove = 0
    this.#overflow = []
    this.#hi = new Uint32Array(slots)
    this.#lo = new Uint32Array(slots)
    this.#places = new Float64Array(slots)
    for (let slot = 0; slot < places.length; slot++) {
      if (places[slot]! > 0) this.#put(hi[slot]!, lo[slot]!, places[slot]!)
    }
    for (let i = 0; i < overflow.length; i += 3) {
      if (overflow[i + 2]! > 0) this.#put(overflow[i]!, overflow[i + 1]!, overflow[i + 2]!)
    }
  }
}
