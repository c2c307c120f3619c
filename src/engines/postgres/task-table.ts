import type { TaskId, Unit } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { TaskRows } from './write-draft.ts'

interface TaskEntry {
  readonly id: number
  readonly stores: Map<string, number>
}

/** Numbers of tasks and stores. A store is made when it is first written to, in a transaction of its own. */
export class TaskTable {
  readonly #tasks = new Map<string, TaskEntry>()
  readonly #taskId: string
  readonly #makeStore: string

  constructor(schema: string) {
    this.#taskId = `select ${quoteIdentifier(schema)}.task_id($1, $2, $3)`
    this.#makeStore = `select ${quoteIdentifier(schema)}.make_store($1, $2)`
  }

  /** Not in a transaction that may be rolled back. FENCED for a task that was never held. */
  async rowsOf(session: Session, { lease, state }: Unit): Promise<TaskRows> {
    const entry = await this.#entry(session, lease.task)
    for (const { store } of state) {
      if (entry.stores.has(store)) continue
      const [row] = await session.rows(this.#makeStore, [entry.id, store])
      entry.stores.set(store, Number(row![0]))
    }
    return entry
  }

  /** Undefined for a store that this process has not written. */
  knownStore(task: TaskId, store: string): number | undefined {
    return this.#tasks.get(taskName(task))?.stores.get(store)
  }

  async #entry(session: Session, task: TaskId): Promise<TaskEntry> {
    const { group, topic, partition } = task
    const name = taskName(task)
    const known = this.#tasks.get(name)
    if (known !== undefined) return known
    const [row] = await session.rows(this.#taskId, [group, topic, partition])
    if (row![0] === null) {
      throw new SemelError('FENCED', `${group} on ${topic}/${partition} has no owner at all`)
    }
    const entry = { id: Number(row![0]), stores: new Map<string, number>() }
    this.#tasks.set(name, entry)
    return entry
  }
}

export function taskName({ group, topic, partition }: TaskId): string {
  return `${group}\u0000${topic}\u0000${partition}`
}
