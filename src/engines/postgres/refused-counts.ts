import type { Clock } from '../../platform/platform.ts'
import { int4Array } from './binary-arrays.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { PartitionEntry } from './topic-table.ts'

/**
 * Refused duplicates, for the status. Counted here and written with some later write, at most once a second: a row
 * that every write updated would leave a trail of dead versions under any snapshot that is held for long.
 */
export class RefusedCounts {
  readonly #clock: Clock
  readonly #addRefused: string
  #dueAt = 0
  readonly #unwritten = new Set<PartitionEntry>()

  constructor(schema: string, clock: Clock) {
    this.#clock = clock
    this.#addRefused = `select ${quoteIdentifier(schema)}.add_refused($1, $2)`
  }

  count(entry: PartitionEntry, count: number): void {
    entry.refused += count
    this.#unwritten.add(entry)
  }

  /** What the next write shall take along for a partition. */
  peek(entry: PartitionEntry): number {
    return this.#clock.monotonic() >= this.#dueAt ? entry.refused : 0
  }

  written(entry: PartitionEntry, count: number): void {
    if (count === 0) return
    entry.refused -= count
    if (entry.refused === 0) this.#unwritten.delete(entry)
    this.#dueAt = this.#clock.monotonic() + postgresLimits.countersMs
  }

  get isEmpty(): boolean {
    return this.#unwritten.size === 0
  }

  /** Writes all counts that no other write has taken along. */
  async write(session: Session): Promise<void> {
    const entries = [...this.#unwritten].sort((a, b) => a.id - b.id)
    const counts = entries.map(({ refused }) => refused)
    await session.rows(this.#addRefused, [int4Array(entries.map(({ id }) => id)), int4Array(counts)])
    for (const [index, entry] of entries.entries()) this.written(entry, counts[index]!)
  }
}
