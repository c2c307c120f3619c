import type { ScanRequest, StateEntry, TaskId, TaskPosition } from '../../engine/engine.ts'
import { textArray } from './binary-arrays.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { StateLog } from './state-log.ts'
import type { StateLogs } from './state-logs.ts'
import type { TaskTable } from './task-table.ts'

/** Positions and state of tasks, as they are committed. */
export class StateReader {
  readonly #position: string
  readonly #read: string
  readonly #readTable: string
  readonly #scan: string
  readonly #stores: string
  readonly #tasks: TaskTable
  readonly #logs: StateLogs

  constructor(schema: string, tasks: TaskTable, logs: StateLogs) {
    this.#tasks = tasks
    this.#logs = logs
    const name = quoteIdentifier(schema)
    this.#position = `select * from ${name}.position($1, $2, $3)`
    this.#read = `select * from ${name}.read_state($1, $2, $3, $4, $5)`
    this.#readTable = `select * from ${name}.read_table_state($1, $2, $3)`
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
    task: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    const id = this.#tasks.knownStore(task, store)
    const log = id === undefined ? undefined : this.#logs.known(id)
    const values = log?.isEmpty === false ? await this.#readBehind(session, id!, log, keys) : undefined
    if (values !== undefined) return values
    const { group, topic, partition } = task
    const rows = await session.rows(this.#read, [group, topic, partition, store, textArray(keys)])
    // No row at all: there is no such store.
    return keys.map((_, index) => rows[index]?.[0] ?? undefined)
  }

  /** The log is known here, so the server need not look into it. Undefined: it is not as it was. */
  async #readBehind(
    session: Session,
    store: number,
    log: StateLog,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[] | undefined> {
    const { lastSeq } = log
    const logged = keys.map((key) => log.last(key))
    const others = keys.filter((_, index) => logged[index] === undefined)
    // One key has to be asked for in any case, to hear whether the log is as it was.
    const asked = others.length > 0 ? others : keys.slice(0, 1)
    const rows = await session.rows(this.#readTable, [store, lastSeq, textArray(asked)])
    if (rows.length === 0) return undefined
    let next = 0
    return logged.map((last) => (last === undefined ? (rows[next++]![0] ?? undefined) : last.value))
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
