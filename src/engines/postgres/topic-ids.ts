import { HotIds } from './hot-ids.ts'
import { hashId, type IdHash } from './id-hash.ts'

const scratch: IdHash = { hi: 0, lo: 0 }

/**
 * What this process knows of a topic's ids: those of all rows up to number `seq`. A write is only done if `seq` is
 * still the last row's number, so what is decided here is decided exactly (N5).
 */
export class TopicIds {
  readonly #seed: number
  #hot = new HotIds()
  #seq = 0
  #isLoaded = false
  /** The highest number we were told of. */
  #latestSeq = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  get seq(): number {
    return this.#seq
  }

  /** Number of the topic's last row, as far as we were told. */
  get latestSeq(): number {
    return this.#latestSeq
  }

  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Others wrote rows that we have not looked at. */
  get isBehind(): boolean {
    return this.#latestSeq > this.#seq
  }

  get size(): number {
    return this.#hot.size
  }

  get bytes(): number {
    return this.#hot.bytes
  }

  /** Begins anew: the rows up to `seq` need not be known. */
  reset(seq: number): void {
    this.#hot = new HotIds()
    this.#seq = seq
    this.#latestSeq = Math.max(this.#latestSeq, seq)
    this.#isLoaded = true
  }

  /** The server said which number the last row has. Less than we knew of cannot be: then the log was replaced. */
  noteLatest(seq: number): void {
    this.#latestSeq = Math.max(this.#latestSeq, seq)
  }

  /** A row with number `seq` holds these ids, the first of them at `place`. Rows come in order, without a gap. */
  addRow(seq: number, ids: readonly string[], place: number): void {
    for (let i = 0; i < ids.length; i++) {
      hashId(ids[i]!, this.#seed, scratch)
      this.#hot.add(scratch.hi, scratch.lo, place + i)
    }
    this.advance(seq)
  }

  advance(seq: number): void {
    this.#seq = seq
    if (seq > this.#latestSeq) this.#latestSeq = seq
  }

  /** Places of all events whose id may be this one. */
  candidates(id: string, found: number[]): void {
    hashId(id, this.#seed, scratch)
    this.#hot.find(scratch.hi, scratch.lo, found)
  }
}
