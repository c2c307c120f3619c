import { commitOf, type Operation } from './operation.ts'
import type { NoteEvent, OperationName } from './record.ts'
import { Series } from './series.ts'
import type { Tasks } from './tasks.ts'
import type { Scene, Watcher } from './watcher.ts'

export interface OperationCounts {
  ok: number
  fail: number
  info: number
  open: number
  totalMs: number
  slowestMs: number
}

export interface FaultSpan {
  readonly name: string
  readonly fromMs: number
  /** Undefined: still on at the end. */
  toMs: number | undefined
  /** Operations that were under way at some time while it was on. */
  inFlight: number
}

/** Things that must have happened sometimes, or the run proved little (Antithesis calls such claims "sometimes"). */
export interface Occurrences {
  takeovers: number
  redeliveries: number
  suppressedDuplicates: number
  recoveries: number
  tornTailsCut: number
  fencedCommits: number
}

/** Counts, figures over time, and what the validity gates ask for. Goes before units are updated. */
export class Metrics implements Watcher {
  readonly counts = new Map<OperationName, OperationCounts>()
  readonly faults: FaultSpan[] = []
  readonly series = new Series()
  readonly occurred: Occurrences = {
    takeovers: 0,
    redeliveries: 0,
    suppressedDuplicates: 0,
    recoveries: 0,
    tornTailsCut: 0,
    fencedCommits: 0,
  }
  lagMax = 0
  #open = 0
  readonly #active = new Map<string, FaultSpan>()
  readonly #highestEpoch = new Map<string, number>()
  readonly #knownAtPoll = new Map<Operation, ReadonlyMap<number, number>>()
  readonly #scene: Scene
  readonly #tasks: Tasks

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  started(operation: Operation): void {
    this.#open++
    for (const span of this.#active.values()) span.inFlight++
    if (operation.f === 'handle') {
      const { call } = operation
      const unit = this.#tasks.of(call, call.replay).units.get(call.off)
      if (unit !== undefined && unit.handles > 0) this.occurred.redeliveries++
    } else if (operation.f === 'poll') {
      const { partitions } = this.#scene.model.topic(operation.call.topic)
      this.#knownAtPoll.set(operation, new Map([...partitions].map(([p, { knownMax }]) => [p, knownMax])))
    }
  }

  settled(operation: Operation): void {
    const { f, outcome, startSeq, startT, endSeq, endT } = operation
    if (endSeq !== startSeq) this.#open--
    const counts = this.#countsOf(f)
    counts[outcome]++
    const known = this.#knownAtPoll.get(operation)
    this.#knownAtPoll.delete(operation)
    if (endT === Infinity) {
      this.series.record('info', startT, 1)
      return
    }
    counts.totalMs += endT - startT
    counts.slowestMs = Math.max(counts.slowestMs, endT - startT)
    if (outcome === 'ok' || outcome === 'fail') this.series.record(outcome, endT, 1)
    if (f !== 'handle') this.series.record('slowestMs', endT, endT - startT)
    this.series.record('unseen', endT, this.#scene.model.unseen)
    if (known !== undefined) this.#lag(operation, known)
    this.#occurrences(operation)
  }

  noted(note: NoteEvent): void {
    if (note.f === 'phase' && note.v.name === 'heal') this.#heal(note.t)
    if (note.f !== 'fault') return
    const { name, state } = note.v
    const active = this.#active.get(name)
    if (state === 'off') {
      if (active !== undefined) active.toMs = note.t
      this.#active.delete(name)
    } else if (active === undefined) {
      const span: FaultSpan = { name, fromMs: note.t, toMs: undefined, inFlight: this.#open }
      this.#active.set(name, span)
      this.faults.push(span)
    }
  }

  #heal(t: number): void {
    for (const span of this.#active.values()) span.toMs = t
    this.#active.clear()
  }

  /** How far behind a poll was at least: what had been known when it was sent, less what it returned. */
  #lag(operation: Operation, known: ReadonlyMap<number, number>): void {
    if (operation.f !== 'poll' || operation.reply === undefined) return
    for (const [p, records] of Object.entries(operation.reply.recs)) {
      const last = records.at(-1)
      if (last === undefined) continue
      const lag = Math.max(0, (known.get(Number(p)) ?? -1) - last[0])
      this.series.record('lag', operation.endT, lag)
      this.lagMax = Math.max(this.lagMax, lag)
    }
  }

  #occurrences(operation: Operation): void {
    const { occurred } = this
    if (operation.outcome === 'ok')
      occurred.suppressedDuplicates += operation.sends.filter(({ duplicate }) => duplicate).length
    if (operation.f === 'acquire' && operation.outcome === 'ok') this.#acquired(operation.call)
    if ((operation.f === 'open' || operation.f === 'recovered') && operation.outcome === 'ok') {
      if (operation.f === 'recovered') occurred.recoveries++
      if ((operation.call.torn ?? 0) > 0) occurred.tornTailsCut++
    }
    const isCommit = commitOf(operation) !== undefined || operation.f === 'dlq'
    if (isCommit && operation.outcome === 'fail' && operation.err?.includes('FENCED'))
      occurred.fencedCommits++
  }

  #acquired({
    g,
    topic,
    p,
    epoch,
  }: {
    g: string
    topic: string
    p: number
    epoch?: number | undefined
  }): void {
    if (epoch === undefined) return
    const name = JSON.stringify([g, topic, p])
    const highest = this.#highestEpoch.get(name)
    if (highest !== undefined && epoch > highest) this.occurred.takeovers++
    this.#highestEpoch.set(name, Math.max(highest ?? epoch, epoch))
  }

  #countsOf(f: OperationName): OperationCounts {
    let counts = this.counts.get(f)
    if (counts === undefined) {
      counts = { ok: 0, fail: 0, info: 0, open: 0, totalMs: 0, slowestMs: 0 }
      this.counts.set(f, counts)
    }
    return counts
  }
}
