import type { Partition } from '../log-model.ts'
import { commitOf, type Operation } from '../operation.ts'
import type { NoteEvent } from '../record.ts'
import type { GroupTask, Tasks } from '../tasks.ts'
import type { Scene, Watcher } from '../watcher.ts'

/** Kinds that must settle by their deadline (U3). Handlers are the user's code and may take their time. */
const timed = new Set([
  'publish',
  'publishMany',
  'tx',
  'poll',
  'commit',
  'dlq',
  'acquire',
  'renew',
  'scan',
  'http',
])

/** Where a group has to be after the last fault, and when it got there. */
interface Goal {
  readonly offsets: ReadonlyMap<Partition, number>
  readonly healedT: number
  readonly reached: Map<GroupTask, number>
}

/** What must happen in the end: hang (U3) and stale (V1). */
export class Liveness implements Watcher {
  readonly #scene: Scene
  readonly #tasks: Tasks
  readonly #faults = new Set<string>()
  #goal: Goal | undefined
  #open: Operation[] = []

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  settled(operation: Operation): void {
    const commit = commitOf(operation)
    if (commit !== undefined && operation.outcome === 'ok' && commit.replay === undefined)
      this.#moved(this.#tasks.of(commit), commit.off, operation.endT)
    if (!timed.has(operation.f)) return
    const patience = this.#patience(operation)
    if (operation.outcome === 'open') this.#open.push(operation)
    else if (operation.endT !== Infinity && operation.endT - operation.startT > patience)
      this.#hang(operation, `took ${Math.round(operation.endT - operation.startT)} ms`)
  }

  noted(note: NoteEvent): void {
    if (note.f === 'fault') {
      if (note.v.state === 'on') this.#faults.add(note.v.name)
      else this.#faults.delete(note.v.name)
      this.#goal = undefined
      if (note.v.state === 'off' && this.#faults.size === 0) this.#healed(note.t)
    } else if (note.f === 'phase' && note.v.name === 'heal') {
      this.#faults.clear()
      this.#healed(note.t)
    }
  }

  finish({ t }: { t: number }): void {
    for (const operation of this.#open) {
      if (t - operation.startT > this.#patience(operation)) this.#hang(operation, 'never settled')
    }
    if (this.#goal !== undefined) this.#late(this.#goal, t)
  }

  #healed(t: number): void {
    const offsets = new Map<Partition, number>()
    for (const partition of this.#scene.model.partitions()) {
      if (partition.knownMax >= 0) offsets.set(partition, partition.knownMax)
    }
    this.#goal = { offsets, healedT: t, reached: new Map() }
  }

  #moved(task: GroupTask, off: number, t: number): void {
    const goal = this.#goal
    if (goal === undefined || goal.reached.has(task)) return
    if (off > (goal.offsets.get(task.partition) ?? -1)) goal.reached.set(task, t)
  }

  #late({ offsets, healedT, reached }: Goal, endT: number): void {
    const { healMs } = this.#scene.options
    if (healMs === undefined) return
    for (const task of this.#tasks.answerable()) {
      const goal = offsets.get(task.partition)
      if (goal === undefined || goal < task.from) continue
      if ((reached.get(task) ?? endT) - healedT <= healMs) continue
      this.#scene.findings.add('stale', () => ({
        text: `${task.name}: ${healMs} ms after the last fault, position ${goal + 1} had not been committed`,
        partition: task.partition,
        group: task.group,
        offsets: [goal],
      }))
    }
  }

  #hang(operation: Operation, what: string): void {
    this.#scene.findings.add('hang', () => ({
      text: `${operation.f} of ${operation.proc} ${what}; its deadline was ${this.#deadline(operation)} ms`,
      values: operation.sends.slice(0, 1).map(({ value }) => value),
      operations: [operation],
    }))
  }

  #deadline(operation: Operation): number {
    const given = 'deadlineMs' in operation.call ? operation.call.deadlineMs : undefined
    return given ?? this.#scene.options.deadlineMs
  }

  #patience(operation: Operation): number {
    return this.#deadline(operation) + this.#scene.options.graceMs
  }
}
