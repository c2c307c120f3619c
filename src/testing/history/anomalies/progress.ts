import { commitOf, type Operation } from '../operation.ts'
import type { CommitCall, NoteEvent } from '../record.ts'
import type { GroupTask, Tasks } from '../tasks.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Commit {
  readonly off: number
  readonly operation: Operation
}

interface Progress {
  readonly commits: Commit[]
  /** Highest position whose commit had ended. */
  highest: number
  /** How often the group was sent elsewhere: positions before and after are not compared. */
  seeks: number
}

/** What was true when a commit was sent. */
interface Before {
  readonly highest: number
  readonly seeks: number
}

/** How positions move: commit-ahead (a hole was committed over, L1) and commit-back. */
export class Positions implements Watcher {
  readonly #scene: Scene
  readonly #tasks: Tasks
  readonly #progress = new Map<GroupTask, Progress>()
  readonly #before = new Map<Operation, Before>()

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  started(operation: Operation): void {
    const commit = commitOf(operation)
    if (commit === undefined) return
    const { highest, seeks } = this.#of(this.#tasks.of(commit, commit.replay))
    this.#before.set(operation, { highest, seeks })
  }

  settled(operation: Operation): void {
    const commit = commitOf(operation)
    const before = this.#before.get(operation)
    if (commit === undefined || before === undefined) return
    this.#before.delete(operation)
    if (operation.outcome === 'ok') this.#committed(operation, commit, before)
  }

  noted(note: NoteEvent): void {
    if ((note.f !== 'seek' && note.f !== 'replay') || note.v.g === undefined) return
    const progress = this.#of(this.#tasks.of({ g: note.v.g, topic: note.v.topic, p: note.v.p }))
    progress.highest = -1
    progress.seeks++
  }

  finish(): void {
    const answerable = new Set(this.#tasks.answerable())
    for (const [task, { commits }] of this.#progress) {
      if (answerable.has(task) && task.options.guarantee !== 'at-most-once') this.#ahead(task, commits)
    }
  }

  #committed(operation: Operation, commit: CommitCall, before: Before): void {
    const task = this.#tasks.of(commit, commit.replay)
    const progress = this.#of(task)
    progress.commits.push({ off: commit.off, operation })
    if (progress.seeks !== before.seeks) return
    if (commit.off < before.highest) {
      this.#scene.findings.add('commit-back', () => ({
        text: `${task.name}: position went from ${before.highest} back to ${commit.off}`,
        partition: task.partition,
        group: task.group,
        offsets: [commit.off, before.highest],
        operations: [operation],
      }))
    }
    progress.highest = Math.max(progress.highest, commit.off)
  }

  /** For each commit: was everything below it settled by then? One pass with the running latest settlement. */
  #ahead(task: GroupTask, commits: readonly Commit[]): void {
    const { partition } = task
    const { offsets } = partition
    const start = partition.indexFrom(task.from)
    const latest = new Float64Array(offsets.length)
    let running = -1
    for (let index = start; index < offsets.length; index++) {
      const settled = task.units.get(offsets[index]!)?.settledSeq ?? -1
      running = settled < 0 ? Infinity : Math.max(running, settled)
      latest[index] = running
    }
    for (const { off, operation } of commits) {
      const last = partition.indexFrom(off) - 1
      if (last < start || latest[last]! <= operation.endSeq) continue
      this.#hole(task, offsets[firstAbove(latest, start, operation.endSeq)]!, off, operation)
    }
  }

  #hole(task: GroupTask, hole: number, off: number, operation: Operation): void {
    const value = task.partition.at.get(hole)
    this.#scene.findings.add('commit-ahead', () => ({
      text: `${task.name}: position ${off} was committed while offset ${hole} was not settled`,
      partition: task.partition,
      group: task.group,
      offsets: [hole, off],
      values: value === undefined ? [] : [value],
      operations: [operation],
    }))
  }

  #of(task: GroupTask): Progress {
    let progress = this.#progress.get(task)
    if (progress === undefined) {
      progress = { commits: [], highest: -1, seeks: 0 }
      this.#progress.set(task, progress)
    }
    return progress
  }
}

/** Index of the first number above `bound`, from `low` on, in numbers that never fall. */
function firstAbove(numbers: Float64Array, low: number, bound: number): number {
  let high = numbers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! <= bound) low = middle + 1
    else high = middle
  }
  return low
}
