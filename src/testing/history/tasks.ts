import type { Partition } from './log-model.ts'
import type { Operation, OperationOf } from './operation.ts'
import { groupOptionsOf, type ResolvedGroup } from './options.ts'
import { givenUp, type Task } from './record.ts'
import type { Scene } from './watcher.ts'

/** What became of one event in one group (C0). Sequence numbers are places in the merged history; -1: never. */
export class Unit {
  readonly off: number
  /** How often the handler was called. */
  handles = 0
  /** When the handler first succeeded, and in which epoch. */
  succeededSeq = -1
  succeededEpoch: number | undefined
  /** When it was first out of the way: succeeded, or on its way to the dead letters. */
  settledSeq = -1
  /** When an attempt first failed that no other was to follow; the unit that says so may not have committed. */
  givenUpSeq = -1
  /** The handler's last result. */
  lastResult: { readonly ok: boolean; readonly epoch: number | undefined } | undefined
  deadLetters = 0
  deadLetter: { readonly epoch: number | undefined; readonly endSeq: number } | undefined
  key: string | null | undefined
  /** How often it took effect, by sink. */
  effects: Map<string, number> | undefined

  constructor(off: number) {
    this.off = off
  }
}

/** One partition of one group, or of one replay of it. */
export class GroupTask {
  readonly group: string
  readonly replay: string | undefined
  readonly partition: Partition
  readonly options: ResolvedGroup
  /** In order of first mention. */
  readonly units = new Map<number, Unit>()

  constructor(group: string, replay: string | undefined, partition: Partition, options: ResolvedGroup) {
    this.group = group
    this.replay = replay
    this.partition = partition
    this.options = options
  }

  get name(): string {
    const replay = this.replay === undefined ? '' : ` (replay ${this.replay})`
    return `group ${this.group}${replay} on ${this.partition.name}`
  }

  unit(off: number): Unit {
    let unit = this.units.get(off)
    if (unit === undefined) {
      unit = new Unit(off)
      this.units.set(off, unit)
    }
    return unit
  }

  /** First offset that the group answers for. */
  get from(): number {
    const { earliest } = this.partition
    if (this.options.from === 'earliest') return earliest
    let least = Infinity
    for (const unit of this.units.values()) if (unit.handles > 0) least = Math.min(least, unit.off)
    return Math.max(earliest, least)
  }
}

/** All tasks that the history speaks of. */
export class Tasks {
  readonly #scene: Scene
  readonly #tasks = new Map<string, Map<Partition, GroupTask>>()

  constructor(scene: Scene) {
    this.#scene = scene
  }

  of({ g, topic, p }: Task, replay?: string | undefined): GroupTask {
    return this.at(g, replay, this.#scene.model.topic(topic).partition(p))
  }

  at(group: string, replay: string | undefined, partition: Partition): GroupTask {
    // JSON keeps a group that is named like another one's replay apart.
    const name = replay === undefined ? group : JSON.stringify([group, replay])
    let tasks = this.#tasks.get(name)
    if (tasks === undefined) {
      tasks = new Map()
      this.#tasks.set(name, tasks)
    }
    let task = tasks.get(partition)
    if (task === undefined) {
      task = new GroupTask(group, replay, partition, groupOptionsOf(this.#scene.options, group))
      tasks.set(partition, task)
    }
    return task
  }

  *all(): Generator<GroupTask> {
    for (const tasks of this.#tasks.values()) yield* tasks.values()
  }

  /**
   * Tasks that answer for their whole partition: every partition of every topic that a group handles, also those
   * that it never touched. Replays are left out, as they may end anywhere; so are groups that never handle.
   */
  answerable(): GroupTask[] {
    const handled = new Map<string, Set<string>>()
    for (const task of this.all()) {
      if (task.replay !== undefined || task.units.size === 0) continue
      const topics = handled.get(task.group)
      if (topics === undefined) handled.set(task.group, new Set([task.partition.topic.name]))
      else topics.add(task.partition.topic.name)
    }
    const tasks: GroupTask[] = []
    for (const [group, topics] of handled) {
      for (const partition of this.#scene.model.partitions()) {
        if (topics.has(partition.topic.name)) tasks.push(this.at(group, undefined, partition))
      }
    }
    return tasks
  }
}

/** Follows handlers, effects and dead letters into the units of their tasks. Goes before who asks about units. */
export class TaskFeed {
  readonly #tasks: Tasks

  constructor(tasks: Tasks) {
    this.#tasks = tasks
  }

  started(operation: Operation): void {
    if (operation.f !== 'handle') return
    const unit = this.#tasks.of(operation.call, operation.call.replay).unit(operation.call.off)
    unit.handles++
    unit.key ??= operation.call.key
  }

  settled(operation: Operation): void {
    if (operation.f === 'handle') {
      this.#handled(operation.call, operation.outcome === 'ok', operation)
      if (operation.err === givenUp) this.#gaveUp(operation)
    } else if (operation.outcome !== 'ok') return
    else if (operation.f === 'effect') {
      const { call } = operation
      const unit = this.#tasks.of(call, call.replay).unit(call.off)
      unit.key ??= call.key
      unit.effects ??= new Map()
      unit.effects.set(call.sink, (unit.effects.get(call.sink) ?? 0) + 1)
      if (unit.settledSeq < 0) unit.settledSeq = operation.endSeq
    } else if (operation.f === 'dlq') {
      const { call } = operation
      const unit = this.#tasks.of(call, call.replay).unit(call.off)
      unit.deadLetters++
      unit.deadLetter = { epoch: call.epoch, endSeq: operation.endSeq }
      if (unit.settledSeq < 0 || operation.startSeq < unit.settledSeq) unit.settledSeq = operation.startSeq
    }
  }

  #gaveUp({ call, endSeq }: OperationOf<'handle'>): void {
    const unit = this.#tasks.of(call, call.replay).unit(call.off)
    if (unit.givenUpSeq < 0) unit.givenUpSeq = endSeq
  }

  #handled(
    call: Operation['call'] & {
      off: number
      g: string
      topic: string
      p: number
      epoch?: number
      replay?: string
    },
    ok: boolean,
    { endSeq }: Operation,
  ): void {
    const unit = this.#tasks.of(call, call.replay).unit(call.off)
    unit.lastResult = { ok, epoch: call.epoch }
    if (!ok || unit.succeededSeq >= 0) return
    unit.succeededSeq = endSeq
    unit.succeededEpoch = call.epoch
    if (unit.settledSeq < 0 || endSeq < unit.settledSeq) unit.settledSeq = endSeq
  }
}
