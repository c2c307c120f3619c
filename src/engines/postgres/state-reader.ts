import type { ScanRequest, StateEntry, TaskId, TaskPosition } from '../../engine/engine.ts'
import { textArray } from './binary-arrays.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'

/** Positions and state of tasks, as they are committed. */
export class StateReader {
  readonly #position: string
  readonly #read: string
  readonly #scan: string
  readonly #stores: string

  constructor(schema: string) {
    const name = quoteIdentifier(schema)
    this.#position = `select * from ${name}.position($1, $2, $3)`
    this.#read = `select * from ${name}.read_state($1, $2, $3, $4, $5)`
    this.#stores = `select * from ${name}.stores($1, $2, $3)`
    this.#scan = `select * from ${name}.scan_state($1, $2, $3, $4, $5, $6)`
  }

  async position(session: Session, { group, topic, partition }: TaskId): Promise<TaskPosition> {
    const [row] = await session.rows(this.#position, [group, topic, partition])
    if (row === undefined) return { position: undefined, logId: undefined }
    return { position: Number(row[0]), logId: row[1] ?? undefined }
  }

  async read(
    session: Session,
    { group, topic, partition }: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    const rows = await session.rows(this.#read, [group, topic, partition, store, textArray(keys)])
    // No row at all: there is no such store.
    return keys.map((_, index) => rows[index]?.[0] ?? undefined)
  }

  async stores(session: Session, { group, topic, partition }: TaskId): Promise<readonly string[]> {
    return (await session.rows(this.#stores, [group, topic, partition])).map(([name]) => name!)
  }

  async scan(
    session: Session,
    { task: { group, topic, partition }, store, after, limit }: ScanRequest,
  ): Promise<readonly StateEntry[]> {
    const rows = await session.rows(this.#scan, [group, topic, partition, store, after ?? null, limit])
    return rows.map(([key, value]) => ({ key: key!, value: value! }))
  }
}
