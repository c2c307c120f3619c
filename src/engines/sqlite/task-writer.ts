import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { SemelError } from '../../errors.ts'
import type { UnitRequest, WireChanges } from './writer-protocol.ts'

/** Positions and state of tasks, written inside the writer's transaction. */
export class TaskWriter {
  readonly #task: StatementSync
  readonly #setPosition: StatementSync
  readonly #createStore: StatementSync
  readonly #store: StatementSync
  readonly #upsert: StatementSync
  readonly #delete: StatementSync
  /** Numbers of stores that are surely in the file. */
  readonly #storeIds = new Map<string, number>()
  readonly #newStores: string[] = []

  constructor(database: DatabaseSync) {
    this.#task = database.prepare(
      'select id, epoch, position from semel_task where grp = ? and topic = ? and partition = ?',
    )
    this.#setPosition = database.prepare('update semel_task set position = ?, log_id = ? where id = ?')
    this.#createStore = database.prepare('insert into semel_store (task_id, name) values (?, ?)')
    this.#store = database.prepare('select id from semel_store where task_id = ? and name = ?')
    this.#upsert = database.prepare(
      'insert into semel_state values (?, ?, ?) on conflict do update set value = excluded.value',
    )
    this.#delete = database.prepare('delete from semel_state where store_id = ? and key = ?')
  }

  /**
   * Refuses a unit before any of it is written: FENCED if the epoch is not the stored one (Z1),
   * POSITION_MISMATCH if the position is not the one it stands on. Answers the task's number.
   */
  check(unit: UnitRequest): number {
    const { group, topic, partition } = unit.task
    const row = this.#task.get(group, topic, partition)
    const name = `${group} on ${topic}/${partition}`
    if (row === undefined || Number(row.epoch) !== unit.epoch) {
      const current = row === undefined ? 'none' : Number(row.epoch)
      throw new SemelError('FENCED', `${name} has another owner: epoch ${current}, not ${unit.epoch}`)
    }
    const stored = row.position === null ? undefined : Number(row.position)
    if (stored === unit.from) return Number(row.id)
    throw new SemelError('POSITION_MISMATCH', `${name} is at ${stored}, not at ${unit.from}`)
  }

  /** Writes position and state of a unit that `check` let through in this transaction. */
  apply({ to, logId, state }: UnitRequest, taskId: number): void {
    for (const changes of state) this.#applyState(taskId, changes)
    this.#setPosition.run(to, logId, taskId)
  }

  keep(): void {
    this.#newStores.length = 0
  }

  undo(): void {
    for (const name of this.#newStores) this.#storeIds.delete(name)
    this.#newStores.length = 0
  }

  /** In key order, so that neighbours in the b-tree are written together. */
  #applyState(taskId: number, { store, keys, values }: WireChanges): void {
    const storeId = this.#storeId(taskId, store)
    const order = keys.map((_, index) => index)
    if (order.length > 1) order.sort((a, b) => (keys[a]! < keys[b]! ? -1 : 1))
    for (const index of order) {
      const value = values[index]
      if (value === undefined) this.#delete.run(storeId, keys[index]!)
      else this.#upsert.run(storeId, keys[index]!, value)
    }
  }

  #storeId(taskId: number, store: string): number {
    const name = `${taskId}/${store}`
    const known = this.#storeIds.get(name)
    if (known !== undefined) return known
    const row = this.#store.get(taskId, store)
    const id =
      row === undefined ? Number(this.#createStore.run(taskId, store).lastInsertRowid) : Number(row.id)
    this.#storeIds.set(name, id)
    this.#newStores.push(name)
    return id
  }
}
