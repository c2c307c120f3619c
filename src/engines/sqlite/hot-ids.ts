import { giveBack } from './give-back.ts'
import { Sighting, type TakeEntry } from './id-entry.ts'
import { copyMark, isMarked, type Marks, markWords, noMark, sameMark } from './marks.ts'

const slotsMin = 1024
/** Slots behind the last regular one, so that probing never has to wrap around. */
const spareSlots = 256
const loadMax = 0.6

/** Place of an entry whose transaction was rolled back. */
const undone = -1

/** An entry that found no slot. */
interface Overflow {
  readonly hi: number
  readonly lo: number
  place: number
  mark: Marks
}

/**
 * Ids of the newest part of the log: an open-addressing table from 64-bit hash to place, 16 bytes a slot.
 *
 * The slot is the hash's top bits, so going through the slots meets the hashes almost in order: sealing needs no
 * sort of the whole table and can stop anywhere. Equal hashes of different ids stand side by side; the caller
 * compares ids. Entries may have a mark (`marks.ts`), 16 bytes more a slot once one has.
 */
export class HotIds {
  /** High and low halves by turns. */
  #hashes: Uint32Array<ArrayBuffer>
  #places: Float64Array<ArrayBuffer>
  /** Absent while no entry has a mark. */
  #marks: Uint32Array<ArrayBuffer> | undefined
  #bits: number
  /** With so many entries it is full. */
  #entriesMax: number
  #size = 0
  #longestMove = 0
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: reads whose result nobody keeps are left out by the compiler
  #fetched = 0
  /** Only where very many hashes are almost equal. */
  #overflow: Overflow[] = []

  constructor(entries = 0) {
    this.#bits = Math.max(10, Math.ceil(Math.log2(Math.max(slotsMin, entries / loadMax))))
    this.#entriesMax = 2 ** this.#bits * loadMax
    const slots = 2 ** this.#bits + spareSlots
    this.#hashes = new Uint32Array(2 * slots)
    this.#places = new Float64Array(slots)
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#places.length * (this.#marks === undefined ? 16 : 32)
  }

  get hasMarks(): boolean {
    return this.#marks !== undefined
  }

  add(hi: number, lo: number, place: number, marks: Marks, at: number): void {
    if (this.#size >= this.#entriesMax) this.#rebuild(this.#bits + 1)
    this.#put(hi, lo, place, marks, at)
    this.#size++
  }

  /**
   * Looks at the slots of ids that are about to be added. They are all over the memory: looked at one after another,
   * with nothing in between that waits for one, they come at the same time.
   */
  fetch(hashes: Uint32Array): void {
    const places = this.#places
    const own = this.#hashes
    const shift = 32 - this.#bits
    let sum = 0
    for (let i = 0; i < hashes.length; i += 2) {
      const slot = hashes[i]! >>> shift
      sum += places[slot]! + own[2 * slot]!
    }
    this.#fetched = sum
  }

  /** Whether an id with this hash may be here. */
  has(hi: number, lo: number): boolean {
    const hashes = this.#hashes
    const places = this.#places
    for (let slot = hi >>> (32 - this.#bits); places[slot]; slot++) {
      if (hashes[2 * slot] === hi && hashes[2 * slot + 1] === lo && places[slot] !== undone) return true
    }
    return this.#overflow.length > 0 && this.#inOverflow(hi, lo).length > 0
  }

  /** Adds the places of all ids with this hash to `found`. */
  find(hi: number, lo: number, found: number[]): void {
    for (let slot = this.#slotOf(hi); this.#places[slot]; slot++) {
      const place = this.#places[slot]!
      if (this.#isAt(slot, hi, lo) && place !== undone) found.push(place)
    }
    for (const entry of this.#inOverflow(hi, lo)) found.push(entry.place)
  }

  /** Place of the entry with this hash and mark; `Sighting` if there is none. */
  placeOfMark(hi: number, lo: number, marks: Marks, at: number): number {
    let sighting: number = Sighting.none
    for (let slot = this.#slotOf(hi); this.#places[slot]; slot++) {
      const place = this.#places[slot]!
      if (!this.#isAt(slot, hi, lo) || place === undone) continue
      if (this.#marks !== undefined && sameMark(this.#marks, slot * markWords, marks, at)) return place
      sighting = Sighting.unsure
    }
    for (const entry of this.#inOverflow(hi, lo)) {
      if (sameMark(entry.mark, 0, marks, at)) return entry.place
      sighting = Sighting.unsure
    }
    return sighting
  }

  /** Puts another place and mark where `before` is; `false` if there is no such entry. */
  replace(hi: number, lo: number, before: number, place: number, marks: Marks, at: number): boolean {
    for (let slot = this.#slotOf(hi); this.#places[slot]; slot++) {
      if (this.#isAt(slot, hi, lo) && this.#places[slot] === before) {
        this.#places[slot] = place
        this.#setMark(slot, marks, at)
        return true
      }
    }
    const entry = this.#inOverflow(hi, lo).find((candidate) => candidate.place === before)
    if (entry === undefined) return false
    entry.place = place
    entry.mark = marks.slice(at, at + markWords)
    return true
  }

  /** Takes back an `add` of a transaction that was rolled back. */
  undo(hi: number, lo: number, place: number): void {
    this.replace(hi, lo, place, undone, noMark, 0)
  }

  /** Gives the memory back; it must not be used any more. */
  release(): void {
    giveBack(this.#hashes, this.#places, this.#marks)
  }

  /** Slots in all: the bound for `visit`. */
  get slots(): number {
    return this.#places.length
  }

  /** Gives `visit` the entries of the slots from `from` to before `to`. Answers the next slot. */
  visit(from: number, to: number, visit: TakeEntry): number {
    const end = Math.max(from, Math.min(to, this.#places.length))
    if (from === 0) this.#visitOverflow(visit)
    const marks = this.#marks ?? noMark
    const step = this.#marks === undefined ? 0 : markWords
    for (let slot = from; slot < end; slot++) {
      const place = this.#places[slot]!
      if (place > 0) visit(this.#hashes[2 * slot]!, this.#hashes[2 * slot + 1]!, place, marks, slot * step)
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
    this.visit(0, this.slots, (hi, lo, place, marks, at) => {
      if (keep(place)) kept.add(hi, lo, place, marks, at)
    })
    return kept
  }

  #isAt(slot: number, hi: number, lo: number): boolean {
    return this.#hashes[2 * slot] === hi && this.#hashes[2 * slot + 1] === lo
  }

  #slotOf(hi: number): number {
    return hi >>> (32 - this.#bits)
  }

  #setMark(slot: number, marks: Marks, at: number): void {
    if (this.#marks === undefined) {
      if (!isMarked(marks, at)) return
      this.#marks = new Uint32Array(markWords * this.#places.length)
    }
    copyMark(this.#marks, slot * markWords, marks, at)
  }

  #put(hi: number, lo: number, place: number, marks: Marks, at: number): void {
    const first = this.#slotOf(hi)
    let slot = first
    while (this.#places[slot]) slot++
    if (slot >= this.#places.length) {
      this.#overflow.push({ hi, lo, place, mark: marks.slice(at, at + markWords) })
      return
    }
    if (slot - first > this.#longestMove) this.#longestMove = slot - first
    this.#hashes[2 * slot] = hi
    this.#hashes[2 * slot + 1] = lo
    this.#places[slot] = place
    this.#setMark(slot, marks, at)
  }

  #inOverflow(hi: number, lo: number): Overflow[] {
    if (this.#overflow.length === 0) return []
    return this.#overflow.filter((entry) => entry.hi === hi && entry.lo === lo && entry.place !== undone)
  }

  #visitOverflow(visit: TakeEntry): void {
    for (const { hi, lo, place, mark } of this.#overflow) if (place > 0) visit(hi, lo, place, mark, 0)
  }

  #rebuild(bits: number): void {
    const [hashes, places, overflow] = [this.#hashes, this.#places, this.#overflow]
    const before = this.#marks
    const marks = before ?? noMark
    const step = before === undefined ? 0 : markWords
    const slots = 2 ** bits + spareSlots
    this.#bits = bits
    this.#entriesMax = 2 ** bits * loadMax
    this.#longestMove = 0
    this.#overflow = []
    this.#hashes = new Uint32Array(2 * slots)
    this.#places = new Float64Array(slots)
    this.#marks = before === undefined ? undefined : new Uint32Array(markWords * slots)
    for (let slot = 0; slot < places.length; slot++) {
      if (places[slot]! > 0)
        this.#put(hashes[2 * slot]!, hashes[2 * slot + 1]!, places[slot]!, marks, slot * step)
    }
    for (const { hi, lo, place, mark } of overflow) if (place > 0) this.#put(hi, lo, place, mark, 0)
    giveBack(hashes, places, before)
  }
}
