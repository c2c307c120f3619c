import type { AppendPlan, BatchPlan } from '../../engine/append-plan.ts'
import type { AppendResult } from '../../engine/engine.ts'
import { isSemelError, type SemelError } from '../../errors.ts'
import type { EncodedAppend } from './encoded-rows.ts'
import { type FailedCalls, PlannedFailures } from './failed-calls.ts'
import { GroupPlanner, settledOffset } from './group-planner.ts'
import type { IdLoader } from './id-loader.ts'
import type { KnownEvents, KnownIds } from './known-events.ts'
import { placeName } from './log-reader.ts'
import type { LogWitness } from './log-witness.ts'
import { placeOf } from './place.ts'
import { StatementFailure, translated } from './postgres-errors.ts'
import type { RecentRows } from './recent-rows.ts'
import type { RefusedCounts } from './refused-counts.ts'
import type { ServerClock } from './server-clock.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { StateLogs } from './state-logs.ts'
import type { TaskTable } from './task-table.ts'
import type { TopicSeals } from './topic-seals.ts'
import type { TopicTable } from './topic-table.ts'
import { type TaskRows, WriteDraft } from './write-draft.ts'
import { logRegressed, parseReply, regression, unitProblem, type WriteReply } from './write-reply.ts'
import type { UnitRequest, WriteRequest } from './write-requests.ts'

export interface RoundParts {
  readonly schema: string
  readonly topics: TopicTable
  readonly tasks: TaskTable
  readonly known: KnownEvents
  readonly loader: IdLoader
  readonly clock: ServerClock
  readonly failed: FailedCalls
  readonly refused: RefusedCounts
  readonly witness: LogWitness
  readonly seals: TopicSeals
  readonly recent: RecentRows
  readonly stateLogs: StateLogs
}

interface Planned {
  readonly request: WriteRequest
  readonly plan: AppendPlan
}

/** A write that the server has done; what it means is told once it is committed. */
export interface Written {
  readonly draft: WriteDraft
  readonly planned: readonly Planned[]
  readonly failures: PlannedFailures
  readonly seqs: readonly number[]
  readonly reply: WriteReply
}

/**
 * Plans requests and writes them in one statement, again and again until what was believed was so. What is refused for
 * a reason of its own is rejected and leaves the round; the others go on.
 */
export class WriteRound {
  readonly #parts: RoundParts
  readonly #write: string
  readonly #writeLogged: string
  #waiting: readonly WriteRequest[]
  readonly #taskRows = new Map<WriteRequest, TaskRows>()
  /** Topics that were found closed, and why. */
  readonly #obstacles = new Map<string, SemelError>()
  /** Another process writes to our topics: looking before locking does not pay. */
  hasCompany = false

  constructor(parts: RoundParts, requests: readonly WriteRequest[]) {
    this.#parts = parts
    const schema = quoteIdentifier(parts.schema)
    this.#write = `select * from ${schema}.write(${marks(24)})`
    this.#writeLogged = `select * from ${schema}.write_logged(${marks(34)})`
    this.#waiting = requests
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** What must be known before the first attempt, and must not be lost with a transaction that is rolled back. */
  async prepare(session: Session): Promise<void> {
    const { topics, tasks } = this.#parts
    await topics.load(session, [
      ...new Set(this.#waiting.flatMap(({ appends }) => appends.map(({ topic }) => topic))),
    ])
    const ready: WriteRequest[] = []
    for (const request of this.#waiting) {
      try {
        for (const { topic, partition } of request.appends) topics.partition(topic, partition)
        if (request.kind === 'unit') this.#taskRows.set(request, await tasks.rowsOf(session, request.unit))
        ready.push(request)
      } catch (error) {
        if (!isSemelError(error)) throw error
        this.refuse(request, error)
      }
    }
    this.#waiting = ready
  }

  /** One attempt. Undefined: nothing was written, and what is left is worth another attempt. */
  async attempt(session: Session): Promise<Written | undefined> {
    const { topics, clock, stateLogs } = this.#parts
    const appends = this.#waiting.flatMap((request) => request.appends)
    const open = appends.filter(({ topic }) => !this.#obstacles.has(topic))
    const draft = new WriteDraft(topics, open)
    const known = await this.#lookUp(session, draft).catch(onlyRead)
    const seqs = draft.topics.map(({ ids, name }) => (known.has(name) ? ids!.seq : ids!.latestSeq))
    const failures = new PlannedFailures(this.#parts.failed)
    const planned = this.#plan(draft, known, failures)
    const flush = this.#waiting.some((request) => request.kind === 'unit' || request.flush)
    const isTimely = [...known.values()].some(({ size }) => size > 0)
    draft.addRefused((entry) => this.#parts.refused.peek(entry))
    await stateLogs.load(session, draft.stores).catch(onlyRead)
    draft.planState(stateLogs, clock.now())
    const statement = draft.isLogged ? this.#writeLogged : this.#write
    const parameters = draft.parameters(flush, seqs, isTimely ? clock.now() : undefined)
    const reply = parseReply((await session.rows(statement, parameters))[0]!)
    clock.note(reply.nowMs)
    if (reply.written) return { draft, planned, failures, seqs, reply }
    if (reply.ends.some(isSealed)) await this.#noteSealed(session, draft, reply)
    else this.#learn(draft, seqs, reply)
    return undefined
  }

  /** Calls for topics that are closed fail by themselves in the next attempt. */
  async #noteSealed(session: Session, draft: WriteDraft, { ends }: WriteReply): Promise<void> {
    const { seals, topics } = this.#parts
    const partitions = draft.partitions.filter((_, slot) => isSealed(ends[slot]!))
    for (const { name, partitions: own } of topics.all) {
      if (!own.some((entry) => partitions.includes(entry))) continue
      const obstacle = await seals.obstacle(session, name)
      if (obstacle !== undefined) this.#obstacles.set(name, obstacle)
    }
  }

  /** The write is durable, and memory follows. */
  settle({ draft, failures, seqs, reply }: Written): void {
    failures.settle()
    for (const [slot, entry] of draft.partitions.entries()) {
      entry.floor = Math.max(entry.floor, reply.ends[slot]! + draft.counts[slot]!)
      this.#parts.refused.written(entry, draft.refused[slot]!)
    }
    for (const { slot, start, count, crc, head, body } of draft.rows) {
      const entry = draft.partitions[slot]!
      const row = {
        firstOffset: reply.ends[slot]! + start,
        count,
        appendTime: reply.times[slot]!,
        crc,
        head,
        body,
      }
      this.#parts.witness.acknowledged(entry.id, row)
      this.#parts.recent.add(placeName(entry), row)
    }
    this.#remember(draft, seqs, reply)
    for (const { owned, log, plan } of draft.state) {
      log.apply(plan)
      this.#parts.stateLogs.put(owned, log)
    }
  }

  /** Everybody hears of what was settled. */
  answer({ planned, reply }: Written): void {
    for (const { request, plan } of planned) this.#answer(request, plan, reply.ends)
  }

  /** Everything that is left ends with this error. */
  refuseAll(error: unknown): void {
    for (const request of this.#waiting) this.refuse(request, error)
    this.#waiting = []
  }

  refuse(request: WriteRequest, error: unknown): void {
    // All calls of the group failed: later ones of theirs must not overtake (P2).
    if (request.kind === 'append') this.#parts.failed.note(request.calls, request.appends)
    request.reject(error)
  }

  get requests(): readonly WriteRequest[] {
    return this.#waiting
  }

  /** Known ids by topic, for the topics in which any id is to be looked up. */
  async #lookUp(session: Session, draft: WriteDraft): Promise<Map<string, KnownIds>> {
    const { known, loader, clock } = this.#parts
    const found = new Map<string, KnownIds>()
    for (const topic of draft.topics) {
      const asked = this.#waiting.flatMap(({ appends }) => {
        return appends.filter((append) => append.topic === topic.name && !append.fresh)
      })
      if (asked.length === 0) continue
      if (!topic.ids!.isLoaded || topic.ids!.isBehind) await loader.catchUp(session, topic)
      const ids = asked.length === 1 ? asked[0]!.ids : asked.flatMap((append) => append.ids)
      found.set(topic.name, await known.find(session, topic, ids, clock.now()))
    }
    return found
  }

  #plan(
    draft: WriteDraft,
    known: ReadonlyMap<string, KnownIds>,
    failures: PlannedFailures,
  ): readonly Planned[] {
    const { topics } = this.#parts
    const slotOf = (topic: string, partition: number) => draft.slotOf(topic, partition)
    const planner = new GroupPlanner(
      { topics, known, slotOf, obstacles: this.#obstacles },
      draft.partitions.length,
    )
    const planned: Planned[] = []
    for (const request of this.#waiting) {
      const { appends } = request
      const isUnit = request.kind === 'unit'
      const isBlocked = (topic: string, partition: number): boolean => {
        return !isUnit && failures.blocks(topic, partition, request.failuresSeen)
      }
      const plan = planner.plan({ appends, calls: isUnit ? 1 : request.calls, isBlocked })
      if (isUnit) draft.addUnit(request.unit, this.#taskRows.get(request)!, plan.failures.size > 0)
      else if (plan.failures.size > 0) failures.note(plan.failures.size, touchedBy(appends, plan))
      for (const [b, append] of appends.entries()) draft.addAppend(append, plan.batches[b]!)
      planned.push({ request, plan })
    }
    return planned
  }

  /** Nothing was written: takes in how things are. */
  #learn(draft: WriteDraft, seqs: readonly number[], reply: WriteReply): void {
    const regressed = regression(draft, seqs, reply)
    if (regressed !== undefined) {
      this.refuseAll(regressed)
      return
    }
    if (reply.ends.length < draft.partitions.length || reply.seqs.length < draft.topics.length) {
      this.refuseAll(logRegressed('a topic or partition is gone', undefined))
      return
    }
    for (const [index, topic] of draft.topics.entries()) {
      if (reply.seqs[index] !== seqs[index]) this.hasCompany = true
      topic.ids!.noteLatest(reply.seqs[index]!)
      topic.dedupWindowMs = reply.windows[index]!
    }
    const problems = new Map<UnitRequest['unit'], SemelError>()
    for (const [index, { unit }] of draft.units.entries()) {
      const problem = unitProblem(draft, index, reply)
      if (problem !== undefined) problems.set(unit, problem)
    }
    for (const { unit, owned, log } of draft.state) {
      if (!problems.has(unit)) this.#parts.stateLogs.put(owned, log)
    }
    for (const request of this.#waiting) {
      const problem = request.kind === 'unit' ? problems.get(request.unit) : undefined
      if (problem !== undefined) this.refuse(request, problem)
    }
    this.#waiting = this.#waiting.filter((request) => request.kind !== 'unit' || !problems.has(request.unit))
  }

  /** What was written is known from now on, unless others wrote before and we have not looked at that yet. */
  #remember(draft: WriteDraft, seqs: readonly number[], reply: WriteReply): void {
    for (const [index, topic] of draft.topics.entries()) {
      const ids = topic.ids!
      const first = seqs[index]! + 1
      const rows = draft.rows.filter((row) => row.topic === index + 1)
      const isNext = ids.isLoaded && ids.seq + 1 === first
      ids.noteLatest(seqs[index]! + rows.length)
      if (!isNext) continue
      for (const row of rows) {
        const { partition } = draft.partitions[row.slot]!
        ids.addRow(seqs[index]! + row.step, row.ids, placeOf(partition, reply.ends[row.slot]! + row.start))
      }
    }
  }

  #answer(request: WriteRequest, plan: AppendPlan, ends: readonly number[]): void {
    const conflict = request.kind === 'unit' ? plan.failures.get(0) : undefined
    if (conflict !== undefined) {
      request.reject(conflict)
      return
    }
    for (const [b, { topic, partition }] of request.appends.entries()) {
      const count = plan.batches[b]!.duplicates?.size ?? 0
      if (count > 0) this.#parts.refused.count(this.#parts.topics.partition(topic, partition), count)
    }
    if (request.kind === 'unit') request.resolve()
    else request.resolve(resultOf(plan, ends))
  }
}

/** What \`write\` answers as the end of a partition to which nothing may be appended (migrations/0010-move.sql). */
function isSealed(end: number): boolean {
  return end < 0
}

/** Marks of so many parameters. */
function marks(count: number): string {
  return Array.from({ length: count }, (_, index) => `$${index + 1}`).join(', ')
}

/** Batches that some failed call has records in. */
function touchedBy(appends: readonly EncodedAppend[], { failures }: AppendPlan): readonly EncodedAppend[] {
  return appends.filter(({ callOf }) => {
    return callOf === undefined ? failures.has(0) : callOf.some((call) => failures.has(call))
  })
}

/** Nothing that could commit was sent yet, so a lost connection leaves no question open. */
export function onlyRead(error: unknown): never {
  if (error instanceof StatementFailure && error.isLost) throw translated(error, 'looking ids up', false)
  throw error
}

function resultOf({ batches, failures }: AppendPlan, ends: readonly number[]): AppendResult {
  const appended = batches.map(({ firstOffset, offsets, duplicates }: BatchPlan) => ({
    firstOffset: settledOffset(firstOffset, ends),
    offsets: offsets?.map((offset) => settledOffset(offset, ends)),
    duplicates,
  }))
  return { batches: appended, failures }
}
