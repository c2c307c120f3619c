import type { EncodedBatch } from '../../event/batch-codec.ts'
import { postgresLimits } from './postgres-limits.ts'

/** A row of the table `batch`. */
export interface LogRow extends EncodedBatch {
  readonly firstOffset: number
  readonly count: number
  readonly appendTime: number
  readonly crc: number
}

/**
 * The newest rows that this process wrote, each after its commit was acknowledged, so that who waits at the end of a
 * partition need not ask the server for what was here a moment ago. Of each partition, they are without a hole; where
 * another process wrote in between, what is older is forgotten.
 */
export class RecentRows {
  readonly #isWanted: () => boolean
  readonly #rows = new Map<string, LogRow[]>()
  /** Partitions of all rows, the oldest row first. */
  readonly #order: LogRow[][] = []
  #chars = 0

  /** `isWanted`: whether anybody waits for events. If not, nothing is kept. */
  constructor(isWanted: () => boolean) {
    this.#isWanted = isWanted
  }

  /** A row is durable. */
  add(place: string, row: LogRow): void {
    if (!this.#isWanted()) return
    const end = this.#endOf(place)
    // Two connections wrote one after the other, and we hear of the first one last.
    if (end !== undefined && row.firstOffset < end) return
    let rows = this.#rows.get(place)
    if (rows === undefined || end !== row.firstOffset) {
      rows = []
      this.#rows.set(place, rows)
    }
    rows.push(row)
    this.#order.push(rows)
    this.#chars += charsOf(row)
    while (this.#chars > postgresLimits.recentCharsMax) this.#chars -= charsOf(this.#order.shift()!.shift()!)
  }

  /** The rows from the one on that holds `offset`; `undefined` if it is not among them. */
  from(place: string, offset: number): readonly LogRow[] | undefined {
    const end = this.#endOf(place)
    if (end === undefined || offset >= end) return undefined
    const rows = this.#rows.get(place)!
    const index = rows.findLastIndex(({ firstOffset }) => firstOffset <= offset)
    return index < 0 ? undefined : rows.slice(index)
  }

  #endOf(place: string): number | undefined {
    const last = this.#rows.get(place)?.at(-1)
    return last === undefined ? undefined : last.firstOffset + last.count
  }
}

function charsOf({ head, body }: LogRow): number {
  return head.length + body.length
}
