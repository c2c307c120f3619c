import type { DatabaseSync } from 'node:sqlite'
import { isSemelError, SemelError } from '../../errors.ts'
import { Checkpointer } from './checkpointer.ts'
import { crashPoint } from './crash-points.ts'
import type { IdFormat } from './id-format.ts'
import { GenerationRows } from './id-generation.ts'
import { IdKeeper, type IdLimits } from './id-keeper.ts'
import { KnownEvents } from './known-events.ts'
import { LeaseWriter } from './lease-writer.ts'
import { LogTables } from './log-tables.ts'
import { LogWriter } from './log-writer.ts'
import { isFatal, isFull, type WireError, writeError } from './sqlite-errors.ts'
import { TaskWriter } from './task-writer.ts'
import { TopicSeals } from './topic-seals.ts'
import { TransactionGate, type WriterClock } from './transaction-gate.ts'
import type { UnitRequest, WriteReply, WriteRequest, WriterFigures } from './writer-protocol.ts'

export interface Timed<Request> {
  readonly request: Request
  /** The platform's wall clock when it was made. */
  readonly now: number
}

export type Answer = { readonly reply: WriteReply } | { readonly error: WireError }

export interface WriterParts {
  readonly database: DatabaseSync
  readonly file: string
  readonly clock: WriterClock
  readonly lockWaitMs: number
  readonly idFormat: IdFormat
  /** Name of this writer among all that may build generations. */
  readonly builder: string
  readonly idLimits: IdLimits
}

/** About what a slice of work on the ids writes. */
const choreBytes = 256 * 1024
/** After a chore failed (disk full, file locked), the next is tried so much later. */
const choresPauseMs = 1_000

/**
 * The one writer of this process. Turns a group of requests into one transaction (group commit).
 *
 * Each request is checked before it writes, so a refused one leaves no trace and the others go on. What fails
 * half-way rolls back the whole group; then each request is tried alone, so that one bad request hurts no other.
 * After a failed write or flush nobody knows what the disk holds: all `unknown`, and nothing is written any more
 * until the file is opened again (D4).
 */
export class Writer {
  readonly #file: string
  readonly #clock: WriterClock
  readonly #gate: TransactionGate
  readonly #checkpointer: Checkpointer
  readonly #tables: LogTables
  readonly #known: KnownEvents
  readonly #seals: TopicSeals
  readonly #log: LogWriter
  readonly #tasks: TaskWriter
  readonly #leases: LeaseWriter
  readonly #keeper: IdKeeper
  #failed: SemelError | undefined
  #appendClockMs = 0
  #requests = 0
  #choresAfterMs = 0

  constructor({ database, file, clock, lockWaitMs, idFormat, builder, idLimits }: WriterParts) {
    const rows = new GenerationRows(database, file)
    this.#file = file
    this.#clock = clock
    this.#gate = new TransactionGate(database, clock, lockWaitMs)
    this.#checkpointer = new Checkpointer(database)
    this.#tables = new LogTables(database, rows, idFormat)
    this.#known = new KnownEvents(database, this.#tables, file)
    this.#seals = new TopicSeals(database)
    this.#log = new LogWriter(database, this.#tables, this.#seals, this.#known)
    this.#tasks = new TaskWriter(database)
    this.#leases = new LeaseWriter(database)
    this.#keeper = new IdKeeper(database, { tables: this.#tables, rows, clock, builder, limits: idLimits })
  }

  /** Runs requests in one transaction; one answer each, in order. */
  run(requests: readonly Timed<WriteRequest>[]): Answer[] {
    this.#requests += requests.length
    const answers: Answer[] = []
    try {
      this.begin(
        requests.some(({ request }) => needsFlush(request)),
        latest(requests),
      )
      for (const timed of requests) answers.push(this.#runOne(timed))
      this.commit()
      return answers
    } catch (error) {
      this.rollback()
      return this.#afterFailure(requests, error)
    }
  }

  /** Starts a transaction and takes in what others committed. */
  begin(flushed: boolean, nowMs: number): void {
    if (this.#failed !== undefined) throw this.#refusal()
    this.#gate.begin(flushed)
    crashPoint('writer.begun')
    const unseen = this.#tables.catchUp(nowMs)
    this.#seals.catchUp(unseen !== 'nothing')
    if (unseen === 'of others') this.#gate.noteCompany()
    if (unseen !== 'nothing') {
      this.#known.forgetRows()
      this.#appendClockMs = Math.max(this.#appendClockMs, this.#tables.latestAppendTime())
    }
    this.#appendClockMs = Math.max(this.#appendClockMs, nowMs)
    crashPoint('writer.caught-up')
  }

  /** Applies a unit inside the open transaction; throws before writing anything if it is refused. */
  applyUnit(unit: UnitRequest): void {
    const taskId = this.#tasks.check(unit)
    this.#checkpointer.wrote(unit.batches, unit.state.length)
    const emits =
      unit.batches.length === 0 ? undefined : this.#log.planEmits(unit.batches, this.#appendClockMs)
    crashPoint('writer.unit-checked')
    if (emits !== undefined) this.#log.storeEmits(emits, this.#appendClockMs)
    crashPoint('writer.unit-emitted')
    this.#tasks.apply(unit, taskId)
    crashPoint('writer.unit-applied')
  }

  /** Ends the open transaction. If that fails, the writer may have to stop for good; see `failure`. */
  commit(): void {
    this.#tables.flush()
    crashPoint('writer.before-commit')
    try {
      this.#gate.commit()
    } catch (error) {
      // A full disk is found while pages are written, and a transaction without its last page does not exist, not
      // even after a crash. Of any other failure here nobody can tell what it left behind.
      if (!isFull(error)) this.#failStop(error)
      throw error
    }
    crashPoint('writer.committed')
    this.#tables.keep()
    this.#seals.keep()
    this.#tasks.keep()
  }

  rollback(): void {
    this.#tables.undo()
    this.#seals.undo()
    this.#tasks.undo()
    this.#known.forgetRows()
    try {
      this.#gate.rollback()
    } catch (error) {
      this.#failStop(error)
    }
  }

  /** Translates what a transaction died of, after `rollback`; stops the writer if the disk cannot be trusted. */
  failure(error: unknown): SemelError {
    if (isFatal(error)) this.#failStop(error)
    const isKnown = isSemelError(error) || this.#failed === undefined
    return writeError(error, this.#file, isKnown ? 'not-applied' : 'unknown')
  }

  get hasChores(): boolean {
    if (this.#failed !== undefined || this.#clock.monotonic() < this.#choresAfterMs) return false
    return this.#checkpointer.isDue || this.#keeper.hasWork
  }

  /** What keeps the file in shape, between two groups: a checkpoint, or a slice of work on the ids. */
  doChores(nowMs: number): void {
    try {
      if (this.#checkpointer.isDue) {
        this.#checkpointer.run()
        return
      }
      this.begin(false, nowMs)
      this.#keeper.slice(this.#appendClockMs)
      this.commit()
      this.#keeper.committed()
      this.#checkpointer.wroteBytes(choreBytes)
    } catch (error) {
      this.rollback()
      this.#keeper.rolledBack()
      this.#choresAfterMs = this.#clock.monotonic() + choresPauseMs
      if (isFatal(error)) this.#failStop(error)
    }
  }

  figures(): WriterFigures {
    let inMemory = 0
    let ids = 0
    let bytes = 0
    for (const { dedup } of this.#tables.topics) {
      if (dedup === undefined) continue
      inMemory += dedup.hotSize + (dedup.frozen?.ids.size ?? 0)
      ids += dedup.size
      bytes += dedup.bytes
    }
    return {
      dedupIdsInMemory: inMemory,
      dedupIds: ids,
      dedupMemoryBytes: bytes,
      commits: this.#gate.commits,
      requests: this.#requests,
    }
  }

  #runOne({ request, now }: Timed<WriteRequest>): Answer {
    try {
      return { reply: this.#dispatch(request, now) }
    } catch (error) {
      // Our own refusals come before the first write of a request; everything else ends the group.
      if (!isSemelError(error)) throw error
      if (request.op === 'append') this.#log.noteRejected(request)
      return { error: error.toJSON() }
    }
  }

  #dispatch(request: WriteRequest, now: number): WriteReply {
    switch (request.op) {
      case 'append':
        this.#checkpointer.wrote(request.batches, 0)
        return this.#log.append(request, this.#appendClockMs)
      case 'unit':
        this.applyUnit(request)
        return undefined
      case 'declare':
        this.#tables.declare(request.topics)
        return undefined
      case 'heartbeat':
        return this.#leases.heartbeat(request.group, request.member, request.leaseMs, request.report, now)
      case 'acquire':
        this.#requireOpen(request.task.topic, now)
        return this.#leases.acquire(request.task, request.member, request.leaseMs, request.observedEpoch, now)
      case 'release':
        this.#leases.release(request.task, request.epoch)
        return undefined
      case 'leave':
        this.#leases.leave(request.group, request.member)
        return undefined
      case 'seal':
        this.#tables.topic(request.seal.topic)
        this.#seals.change(request.seal, now)
        return undefined
      case 'status':
        return this.figures()
    }
  }

  #requireOpen(topic: string, now: number): void {
    const obstacle = this.#seals.obstacle(topic, now)
    if (obstacle !== undefined) throw obstacle
  }

  #afterFailure(requests: readonly Timed<WriteRequest>[], error: unknown): Answer[] {
    const failure = this.failure(error)
    const isWorthRetrying = this.#failed === undefined && !isSemelError(error) && requests.length > 1
    if (isWorthRetrying && failure.code !== 'STORAGE_LOCKED' && failure.code !== 'STORAGE_FULL') {
      return requests.flatMap((timed) => this.run([timed]))
    }
    for (const { request } of requests) if (request.op === 'append') this.#log.noteRejected(request)
    return requests.map(() => ({ error: failure.toJSON() }))
  }

  /** From now on every write is refused (D4). */
  #failStop(error: unknown): void {
    this.#failed ??= writeError(error, this.#file, 'unknown')
  }

  #refusal(): SemelError {
    return new SemelError(
      'ENGINE_FAILED',
      `writing to ${this.#file} failed before (${this.#failed?.message}), so nothing more is written`,
      { hint: 'open the bus again: recovery decides what was kept' },
    )
  }
}

/** Units are as durable as the engine can (the port says so), and so is everything that decides who owns what. */
function needsFlush(request: WriteRequest): boolean {
  return request.op === 'append' ? request.durability === 'fsync' : request.op !== 'status'
}

function latest(requests: readonly Timed<WriteRequest>[]): number {
  return requests.reduce((max, { now }) => Math.max(max, now), 0)
}
