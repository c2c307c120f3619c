import { assert } from '../../errors.ts'

interface Run {
  readonly source: number
  readonly target: number
  count: number
}

/**
 * Where each event of a partition is in the copy. Offsets there may have gaps that those here have not, so they are kept
 * as runs in which both grow by one: a few numbers for each transaction of the copy.
 */
export class OffsetMap {
  readonly #runs: Run[] = []

  /** Events in their order. */
  add(source: number, target: number): void {
    const last = this.#runs.at(-1)
    if (last !== undefined) {
      const isAfter = source >= last.source + last.count && target >= last.target + last.count
      assert(isAfter, 'a copy has the order of the source')
      if (source === last.source + last.count && target === last.target + last.count) {
        last.count++
        return
      }
    }
    this.#runs.push({ source, target, count: 1 })
  }

  /** One past the last event, in the target; 0 if there is none. */
  get end(): number {
    const last = this.#runs.at(-1)
    return last === undefined ? 0 : last.target + last.count
  }

  /** The event at this offset, in the target; `undefined` if there is none here. */
  exactly(offset: number): number | undefined {
    const run = this.#runs[this.#runAt(offset)]
    return run === undefined || offset < run.source ? undefined : run.target + offset - run.source
  }

  /** The first event at or after this offset, in the target; the end if there is none. */
  from(offset: number): number {
    const run = this.#runs[this.#runAt(offset)]
    return run === undefined ? this.end : run.target + Math.max(0, offset - run.source)
  }

  /** One past the last event before this offset, in the target. */
  before(offset: number): number {
    const index = this.#runAt(offset)
    const run = this.#runs[index]
    if (run !== undefined && offset > run.source) return run.target + offset - run.source
    const previous = this.#runs[index - 1]
    return previous === undefined ? (this.#runs[0]?.target ?? 0) : previous.target + previous.count
  }

  /** Index of the first run that ends above the offset. */
  #runAt(offset: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { source, count } = this.#runs[middle]!
      if (source + count > offset) high = middle
      else low = middle + 1
    }
    return low
  }
}
