import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ScanRequest, StateEntry, TaskId, TaskPosition } from '../../engine/engine.ts'

/** Reads positions and state over the reading connection. */
export class StateReader {
  readonly #task: StatementSync
  readonly #store: StatementSync
  readonly #stores: StatementSync
  readonly #value: StatementSync
  readonly #scan: StatementSync
  readonly #scanFirst: StatementSync
  /** Numbers of stores; they never change once they exist. */
  readonly #storeIds = new Map<string, number>()

  constructor(database: DatabaseSync) {
    this.#task = database.prepare(
      'select position, log_id from semel_task where grp = ? and topic = ? and partition = ?',
    )
    this.#store = database.prepare(
      `select s.id from semel_store s join semel_task t on t.id = s.task_id
       where t.grp = ? and t.topic = ? and t.partition = ? and s.name = ?`,
    )
    this.#stores = database.prepare(
      `select s.name from semel_store s join semel_task t on t.id = s.task_id
       where t.grp = ? and t.topic = ? and t.partition = ? order by s.name`,
    )
    this.#value = database.prepare('select value from semel_state where store_id = ? and key = ?')
    this.#scan = database.prepare(
      'select key, value from semel_state where store_id = ? and key > ? order by key limit ?',
    )
    this.#scanFirst = database.prepare(
      'select key, value from semel_state where store_id = ? order by key limit ?',
    )
  }

  position({ group, topic, partition }: TaskId): TaskPosition {
    const row = this.#task.get(group, topic, partition)
    if (row === undefined || row.position === null) return { position: undefined, logId: undefined }
    return { position: Number(row.position), logId: String(row.log_id) }
  }

  read(task: TaskId, store: string, keys: readonly string[]): (string | undefined)[] {
    const id = this.#idOf(task, store)
    if (id === undefined) return keys.map(() => undefined)
    return keys.map((key) => {
      const row = this.#value.get(id, key)
      return row === undefined ? undefined : String(row.value)
    })
  }

  stores({ group, topic, partition }: TaskId): string[] {
    return this.#stores.all(group, topic, partition).map(({ name }) => String(name))
  }

  scan({ task, store, after, limit }: ScanRequest): StateEntry[] {
    const id = this.#idOf(task, store)
    if (id === undefined) return []
    const rows = after === undefined ? this.#scanFirst.all(id, limit) : this.#scan.all(id, after, limit)
    return rows.map((row) => ({ key: String(row.key), value: String(row.value) }))
  }

  #idOf({ group, topic, partition }: TaskId, store: string): number | undefined {
    const name = `${group}\u0000${topic}\u0000${partition}\u0000${store}`
    const known = this.#storeIds.get(name)
    if (known !== undefined) return known
    const row = this.#store.get(group, topic, partition, store)
    if (row === undefined) return undefined
    this.#storeIds.set(name, Number(row.id))
    return Number(row.id)
  }
}
