import type { UnitTransaction } from '../engine/engine.ts'
import type { Clock } from '../platform/platform.ts'
import type { OutboxNumber, OutboxTable, TakenRow } from './outbox-table.ts'

const renewMs = 1_000

/**
 * Up to which number the outbox is empty for good, so that rows deleted long ago are not passed over again and again
 * while an old snapshot keeps them. Worked out about once a second (migrations/0008-outbox.sql, SETTLED NUMBERS).
 *
 *  CANDIDATE -> SETTLED   a further period could begin: no transaction will come with a number up to it
 *  SETTLED   -> EMPTY     and there is no row left up to it
 */
export class SettledNumbers {
  readonly #table: OutboxTable
  readonly #clock: Clock
  #candidate: OutboxNumber | undefined
  #settled: OutboxNumber | undefined
  #empty: OutboxNumber | undefined
  #renewedMs = Number.NEGATIVE_INFINITY

  constructor(table: OutboxTable, clock: Clock) {
    this.#table = table
    this.#clock = clock
  }

  /** Takes rows after the number. */
  async take(transaction: UnitTransaction, events: number, bytes: number): Promise<readonly TakenRow[]> {
    await this.#renew(transaction)
    const rows = await this.#table.take(transaction, events, bytes, this.#empty)
    const settled = this.#settled
    if (settled !== undefined && (rows.length === 0 || rows[0]!.seq > settled.seq)) this.#empty = settled
    return rows
  }

  async #renew(transaction: UnitTransaction): Promise<void> {
    const now = this.#clock.monotonic()
    if (now - this.#renewedMs < renewMs) return
    this.#renewedMs = now
    const candidate = await this.#table.settle(transaction)
    if (candidate === undefined) return
    if (this.#candidate?.server === candidate.server) this.#settled = this.#candidate
    this.#candidate = candidate
  }
}
