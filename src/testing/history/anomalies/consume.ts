import type { Operation, OperationOf } from '../operation.ts'
import type { GroupTask, Tasks, Unit } from '../tasks.ts'
import type { Scene, Watcher } from '../watcher.ts'

/** How often each unit was handled: over-consume, under-consume, both-ways. Goes before the units are updated. */
export class Consuming implements Watcher {
  readonly #scene: Scene
  readonly #tasks: Tasks
  /** Sinks of each group and topic: where every event is expected to take effect. */
  readonly #sinks = new Map<string, Map<string, Set<string>>>()

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  started(operation: Operation): void {
    if (operation.f !== 'handle') return
    const { task, unit } = this.#unitOf(operation)
    if (task.options.guarantee === 'at-most-once' && unit.handles > 0)
      this.#add('over-consume', task, unit.off, 'was handled again', operation)
  }

  settled(operation: Operation): void {
    if (operation.outcome !== 'ok') return
    if (operation.f === 'effect') this.#effect(operation)
    else if (operation.f === 'dlq') this.#deadLetter(operation)
    else if (operation.f === 'handle') this.#succeeded(operation)
  }

  finish(): void {
    if (!this.#scene.options.drained) return
    for (const task of this.#tasks.answerable()) {
      if (task.options.guarantee !== 'at-most-once') this.#under(task)
    }
  }

  #effect(operation: OperationOf<'effect'>): void {
    const { g, topic, sink } = operation.call
    const { task, unit } = this.#unitOf(operation)
    let ofGroup = this.#sinks.get(g)
    if (ofGroup === undefined) {
      ofGroup = new Map()
      this.#sinks.set(g, ofGroup)
    }
    const sinks = ofGroup.get(topic)
    if (sinks === undefined) ofGroup.set(topic, new Set([sink]))
    else sinks.add(sink)
    if (task.options.guarantee !== 'at-least-once' && (unit.effects?.get(sink) ?? 0) > 0)
      this.#add('over-consume', task, unit.off, `took effect in ${sink} again`, operation)
    if (unit.deadLetter !== undefined)
      this.#add('both-ways', task, unit.off, `is a dead letter and took effect in ${sink}`, operation)
  }

  #deadLetter(operation: OperationOf<'dlq'>): void {
    const { task, unit } = this.#unitOf(operation)
    const { lastResult } = unit
    if (unit.deadLetter !== undefined)
      this.#add('both-ways', task, unit.off, 'became a dead letter twice', operation)
    else if (unit.effects !== undefined)
      this.#add('both-ways', task, unit.off, 'took effect and became a dead letter', operation)
    else if (lastResult?.ok === true && sameEpoch(lastResult.epoch, operation.call.epoch))
      this.#add('both-ways', task, unit.off, 'succeeded and became a dead letter', operation)
  }

  /**
   * A handler that succeeds after its event became a dead letter. An owner from before may do that, for code may run
   * twice; it cannot commit. From the same epoch on, nobody should have been given the event at all.
   */
  #succeeded(operation: OperationOf<'handle'>): void {
    const { task, unit } = this.#unitOf(operation)
    const { deadLetter } = unit
    if (deadLetter === undefined || operation.startSeq < deadLetter.endSeq) return
    const { epoch } = operation.call
    if (epoch !== undefined && deadLetter.epoch !== undefined && epoch < deadLetter.epoch) return
    this.#add('both-ways', task, unit.off, 'is a dead letter and was handled again', operation)
  }

  #under(task: GroupTask): void {
    const { partition } = task
    const sinks = this.#sinks.get(task.group)?.get(partition.topic.name) ?? []
    const { offsets } = partition
    for (let index = partition.indexFrom(task.from); index < offsets.length; index++) {
      const off = offsets[index]!
      const unit = task.units.get(off)
      if (unit !== undefined && unit.deadLetters > 0) continue
      const effects = unit?.effects
      if (unit === undefined || (unit.succeededSeq < 0 && effects === undefined))
        this.#add('under-consume', task, off, unit === undefined ? 'was never handled' : 'never succeeded')
      else if (task.options.guarantee === 'exactly-once' && task.options.effects === 'each') {
        for (const sink of sinks) {
          if (!effects?.has(sink)) this.#add('under-consume', task, off, `took no effect in ${sink}`)
        }
      }
    }
  }

  #unitOf({ call }: OperationOf<'handle'> | OperationOf<'effect'> | OperationOf<'dlq'>): {
    task: GroupTask
    unit: Unit
  } {
    const task = this.#tasks.of(call, call.replay)
    return { task, unit: task.unit(call.off) }
  }

  #add(
    name: 'over-consume' | 'under-consume' | 'both-ways',
    task: GroupTask,
    off: number,
    what: string,
    operation?: Operation,
  ): void {
    const value = task.partition.at.get(off)
    this.#scene.findings.add(name, () => ({
      text: `${task.name}: offset ${off} ${what}`,
      partition: task.partition,
      group: task.group,
      offsets: [off],
      values: value === undefined ? [] : [value],
      operations: operation === undefined ? [] : [operation],
    }))
  }
}

/** Where no epochs were recorded, all is one. */
function sameEpoch(a: number | undefined, b: number | undefined): boolean {
  return a === undefined || b === undefined || a === b
}
