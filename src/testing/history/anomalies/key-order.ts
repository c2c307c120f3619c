import type { Operation } from '../operation.ts'
import type { GroupTask, Tasks, Unit } from '../tasks.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Effect {
  readonly task: GroupTask
  readonly off: number
  readonly key: string | null | undefined
  readonly seq: number
}

/** One event of a key and when it took effect. */
interface Step {
  readonly off: number
  readonly epoch: number | undefined
}

/**
 * key-order-break: handlers and effects of one key, each by its first success, follow the log (O1). A group whose
 * policy breaks the order on purpose (O2) is left out. At most once, only one owner's order counts (A1).
 */
export class KeyOrder implements Watcher {
  readonly #scene: Scene
  readonly #tasks: Tasks
  readonly #effects = new Map<string, Effect[]>()

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  settled(operation: Operation): void {
    if (operation.f !== 'effect' || operation.outcome !== 'ok') return
    const { call } = operation
    const task = this.#tasks.of(call, call.replay)
    if (task.options.keyOrder === 'broken') return
    const effect = { task, off: call.off, key: call.key, seq: call.seq ?? operation.endSeq }
    const ofSink = this.#effects.get(call.sink)
    if (ofSink === undefined) this.#effects.set(call.sink, [effect])
    else ofSink.push(effect)
  }

  finish(): void {
    for (const task of this.#tasks.all()) if (task.options.keyOrder === 'kept') this.#handlers(task)
    for (const [sink, effects] of this.#effects) this.#sink(sink, effects)
  }

  #handlers(task: GroupTask): void {
    const units = [...task.units.values()].filter(({ succeededSeq }) => succeededSeq >= 0)
    units.sort((a, b) => a.succeededSeq - b.succeededSeq)
    const last = new Map<string, Step>()
    for (const unit of units) {
      const key = this.#keyOf(task, unit.off, unit)
      if (key === null || wasPassed(unit)) continue
      this.#step(task, last, key, { off: unit.off, epoch: unit.succeededEpoch }, 'was handled')
    }
  }

  #sink(sink: string, effects: Effect[]): void {
    effects.sort((a, b) => a.seq - b.seq)
    const byTask = new Map<GroupTask, Map<string, Step>>()
    const done = new Map<GroupTask, Set<number>>()
    for (const { task, off, key: given } of effects) {
      const key = given ?? this.#keyOf(task, off, task.units.get(off))
      const seen = done.get(task) ?? new Set()
      done.set(task, seen)
      if (key === null || seen.has(off)) continue
      seen.add(off)
      let last = byTask.get(task)
      if (last === undefined) {
        last = new Map()
        byTask.set(task, last)
      }
      this.#step(task, last, key, { off, epoch: undefined }, `took effect in ${sink}`)
    }
  }

  #keyOf(task: GroupTask, off: number, unit: Unit | undefined): string | null {
    return task.partition.at.get(off)?.key ?? unit?.key ?? null
  }

  #step(task: GroupTask, last: Map<string, Step>, key: string, step: Step, what: string): void {
    const before = last.get(key)
    if (before === undefined || before.off < step.off) {
      last.set(key, step)
      return
    }
    if (task.options.guarantee === 'at-most-once' && before.epoch !== step.epoch) return
    this.#scene.findings.add('key-order-break', () => ({
      text: `${task.name}: offset ${step.off} of key ${JSON.stringify(key)} ${what} after offset ${before.off}`,
      partition: task.partition,
      group: task.group,
      offsets: [step.off, before.off],
      values: [step.off, before.off].flatMap((off) => task.partition.at.get(off) ?? []),
    }))
  }
}

/** Given up before it succeeded: whether it became a dead letter was not known yet when its key went on (O2). */
function wasPassed({ givenUpSeq, succeededSeq }: Unit): boolean {
  return givenUpSeq >= 0 && givenUpSeq < succeededSeq
}
