import type { StateChanges } from '../../engine/engine.ts'
import { postgresLimits } from './postgres-limits.ts'

const { stateLogEntryBytes, stateLogKeysMin, stateLogBytesMax, stateLogRowsMax } = postgresLimits
const { stateLogLiveMax, stateLogPauseUnits } = postgresLimits

/** State of one unit in the log of a store. */
export interface StateLogRow {
  readonly seq: number
  readonly keys: readonly string[]
  /** `undefined`: deleted. */
  readonly values: readonly (string | undefined)[]
  readonly bytes: number
}

/** What a unit writes: rows of the table `state`, or a row of the log and what others leave behind that it replaces. */
export interface StatePlan {
  readonly keys: readonly string[]
  readonly values: readonly (string | undefined)[]
  readonly added: StateLogRow | undefined
  /** Rows that no longer count, the oldest first. */
  readonly removed: readonly StateLogRow[]
  /** Most of what left the log was still good: it spares too little. */
  readonly isPoor: boolean
}

/**
 * The log of one store, as it is on the server: the state of the last units, each a row. A key that is written again and
 * again is written only here. When a row leaves, the keys whose last value it has go to the table `state`.
 *
 * A change log in front of a table, as in log-structured merge trees (O'Neil and others, 1996), with one level.
 */
export class StateLog {
  #rows: StateLogRow[] = []
  /** Of each key in the log, the row that has its last value. */
  readonly #latest = new Map<string, StateLogRow>()
  #lastSeq = 0
  #pause = 0
  bytes = 0

  get isEmpty(): boolean {
    return this.#rows.length === 0
  }

  /** The last value of a key in the log; undefined: it has none there. */
  last(key: string): { readonly value: string | undefined } | undefined {
    const row = this.#latest.get(key)
    return row && { value: row.values[row.keys.indexOf(key)] }
  }

  /** Of the newest row; 0 if there is none. */
  get lastSeq(): number {
    return this.#rows.at(-1)?.seq ?? 0
  }

  /** The oldest row that counts when the plan, which adds one, is written. */
  firstSeqAfter({ added, removed }: StatePlan): number {
    return (this.#rows[removed.length] ?? added!).seq
  }

  /** A row that is there already. In order. */
  load(row: StateLogRow): void {
    this.#add(row)
  }

  /** `seqMin`: number of the next row, if the last one's is lower. `mayGrow`: there is memory for it. */
  plan({ keys, values }: StateChanges, seqMin: number, mayGrow: boolean): StatePlan {
    const row = stateLogRow(Math.max(this.#lastSeq + 1, seqMin), keys, values)
    const pays =
      mayGrow && this.#pause === 0 && keys.length >= stateLogKeysMin && row.bytes <= stateLogBytesMax / 4
    const leaving = this.#leaving(row, pays)
    const removed = this.#rows.slice(0, leaving)
    const folded = this.#stillLast(removed, keys)
    if (!pays && leaving === this.#rows.length) {
      return {
        keys: [...keys, ...folded.keys],
        values: [...values, ...folded.values],
        added: undefined,
        removed,
        isPoor: false,
      }
    }
    const size = removed.reduce((sum, { keys }) => sum + keys.length, 0)
    return { ...folded, added: row, removed, isPoor: pays && folded.keys.length > size * stateLogLiveMax }
  }

  /** It is written. */
  apply({ added, removed, isPoor }: StatePlan): void {
    if (this.#pause > 0) this.#pause--
    if (isPoor) this.#pause = stateLogPauseUnits
    if (added !== undefined) this.#add(added)
    this.#rows.splice(0, removed.length)
    for (const row of removed) {
      this.bytes -= row.bytes
      for (const key of row.keys) if (this.#latest.get(key) === row) this.#latest.delete(key)
    }
  }

  /** How many rows leave with this one: as many as there is no room for, and two if the log is to become empty. */
  #leaving(row: StateLogRow, pays: boolean): number {
    let bytes = this.bytes + row.bytes
    let leaving = 0
    while (
      leaving < this.#rows.length &&
      (bytes > stateLogBytesMax || this.#rows.length - leaving >= stateLogRowsMax || (!pays && leaving < 2))
    ) {
      bytes -= this.#rows[leaving]!.bytes
      leaving++
    }
    return leaving
  }

  /** Keys whose last value is in one of these rows. */
  #stillLast(rows: readonly StateLogRow[], changed: readonly string[]): Pick<StatePlan, 'keys' | 'values'> {
    const keys: string[] = []
    const values: (string | undefined)[] = []
    if (rows.length === 0) return { keys, values }
    const isChanged = new Set(changed)
    for (const row of rows) {
      for (const [index, key] of row.keys.entries()) {
        if (this.#latest.get(key) !== row || isChanged.has(key)) continue
        keys.push(key)
        values.push(row.values[index])
      }
    }
    return { keys, values }
  }

  #add(row: StateLogRow): void {
    this.#rows.push(row)
    this.#lastSeq = row.seq
    this.bytes += row.bytes
    for (const key of row.keys) this.#latest.set(key, row)
  }
}

export function stateLogRow(
  seq: number,
  keys: readonly string[],
  values: readonly (string | undefined)[],
): StateLogRow {
  let bytes = keys.length * stateLogEntryBytes
  for (let i = 0; i < keys.length; i++) bytes += keys[i]!.length + (values[i]?.length ?? 0)
  return { seq, keys, values, bytes }
}
