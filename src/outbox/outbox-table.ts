import type { UnitTransaction } from '../engine/engine.ts'
import type { OutboxRow } from './outbox-event.ts'

export interface TakenRow extends OutboxRow {
  /** Number of its transaction: its place in the order of commits of its key. */
  readonly seq: number
  /** Running number of the row in its table. */
  readonly place: number
  readonly partitions: number
  readonly createdMs: number
}

/** A number of a transaction, as one server drew it. */
export interface OutboxNumber {
  readonly seq: number
  readonly server: string
}

/** Statements on the outbox of the engine's own schema (migrations/0008-outbox.sql), inside a unit's transaction. */
export class OutboxTable {
  readonly #take: string
  readonly #settle: string
  readonly #setAside: string

  constructor(schema: string) {
    const name = `"${schema.replaceAll('"', '""')}"`
    this.#take = `select * from ${name}.outbox_take($1, $2, $3, $4)`
    this.#settle = `select * from ${name}.outbox_settle()`
    this.#setAside = `select ${name}.outbox_set_aside($1, $2)`
  }

  /** What comes after `settled`, in order. */
  async take(
    transaction: UnitTransaction,
    events: number,
    bytes: number,
    settled: OutboxNumber | undefined,
  ): Promise<readonly TakenRow[]> {
    const after = [settled?.seq ?? 0, settled?.server ?? '']
    const rows = await transaction.query(this.#take, [events, bytes, ...after])
    return rows.map((row) => ({
      seq: Number(row.seq),
      place: Number(row.id),
      topic: String(row.topic),
      key: optionalText(row.key),
      id: String(row.event_id),
      type: String(row.type),
      source: String(row.source),
      time: Number(row.time_ms),
      attributes: optionalText(row.attributes),
      encoding: String(row.encoding),
      data: String(row.data),
      createdMs: Number(row.created_ms),
      partitions: Number(row.partitions),
    }))
  }

  /** Begins a new period of numbers; answers one that is settled when this has worked once more. */
  async settle(transaction: UnitTransaction): Promise<OutboxNumber | undefined> {
    const [row] = await transaction.query(this.#settle, [])
    if (row === undefined || row.seq === null) return undefined
    return { seq: Number(row.seq), server: String(row.server) }
  }

  async setAside(transaction: UnitTransaction, row: TakenRow, reason: string): Promise<void> {
    await transaction.query(this.#setAside, [JSON.stringify(row), reason])
  }
}

function optionalText(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value)
}
