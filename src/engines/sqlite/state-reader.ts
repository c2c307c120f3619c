import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ScanRequest, StateEntry, TaskId, TaskPosition } from '../../engine/engine.ts'

/** Reads positions and state over the reading connection. */
export class StateReader {
  readonly #task: StatementSync
  readonly #value: StatementSync
  readonly #scan: StatementSync
  readonly #ids = new Map<string, number>()

  constructor(database: DatabaseSync) {
    this.#task = database.prepare(
      'select id, position, log_id from semel_task where grp = ? and topic = ? and partition = ?',
    )
    this.#value = database.prepare(
      'select value from semel_state where task_id = ? and store = ? and key = ?',
    )
    this.#scan = database.prepare(
      'select key, value from semel_state where task_id = ? and store = ? and key > ? order by key limit ?',
    )
  }

  position({ group, topic, partition }: TaskId): TaskPosition {
    const row = this.#task.get(group, topic, partition)
    if (row === undefined || row.position === null) return { position: undefined, logId: undefined }
    return { position: Number(row.position), logId: String(row.log_id) }
  }

  read(task: TaskId, store: string, keys: readonly string[]): (string | undefined)[] {
    const id = this.#idOf(task)
    if (id === undefined) return keys.map(() => undefined)
    return keys.map((key) => {
      const row = this.#value.get(id, store, key)
      return row === undefined ? undefined : String(row.value)
    })
  }

  scan({ task, store, after, limit }: ScanRequest): StateEntry[] {
    const id = this.#idOf(task)
    if (id === undefined) return []
    // Without `after`, the empty key counts too; SQLite sorts NULL and numbers before any text.
    const rows = after === undefined ? this.#first(id, store, limit) : this.#scan.all(id, store, after, limit)
    return rows.map((row) => ({ key: String(row.key), value: String(row.value) }))
  }

  #first(id: number, store: string, limit: number): Record<string, unknown>[] {
    const empty = this.#value.get(id, store, '')
    const rest = this.#scan.all(id, store, '', limit)
    return empty === undefined ? rest : [{ key: '', value: empty.value }, ...rest].slice(0, limit)
  }

  #idOf({ group, topic, partition }: TaskId): number | undefined {
    const name = `${group}/${topic}/${partition}`
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const row = this.#task.get(group, topic, partition)
    if (row === undefined) return undefined
    this.#ids.set(name, Number(row.id))
    return Number(row.id)
  }
}
