import type { UnitTransaction } from '../engine/engine.ts'
import type { OutboxRow } from './outbox-event.ts'

export interface TakenRow extends OutboxRow {
  /** Running number of the row in its table. */
  readonly place: number
  readonly partitions: number
  readonly createdMs: number
}

/** Statements on the outbox of the engine's own schema (migrations/0008-outbox.sql), inside a unit's transaction. */
export class OutboxTable {
  readonly #take: string
  readonly #setAside: string

  constructor(schema: string) {
    const name = `"${schema.replaceAll('"', '""')}"`
    this.#take = `select o.*, t.partitions from ${name}.outbox_take($1, $2)
      with ordinality o (xact, id, is_first, topic, key, event_id, type, source, time_ms, attributes, encoding, data,
        created_ms, place)
      left join (
        select t.name, pg_catalog.count(*) as partitions
          from ${name}.topic t join ${name}.partition p on p.topic_id = t.id group by t.name
      ) t on t.name = o.topic order by o.place`
    this.#setAside = `select ${name}.outbox_set_aside($1, $2)`
  }

  async take(transaction: UnitTransaction, events: number, bytes: number): Promise<readonly TakenRow[]> {
    const rows = await transaction.query(this.#take, [events, bytes])
    return rows.map((row) => ({
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

  async setAside(transaction: UnitTransaction, row: TakenRow, reason: string): Promise<void> {
    await transaction.query(this.#setAside, [JSON.stringify(row), reason])
  }
}

function optionalText(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value)
}
