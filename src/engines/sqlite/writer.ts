import type { DatabaseSync } from 'node:sqlite'
import { isSemelError, SemelError } from '../../errors.ts'
import { crashPoint } from './crash-points.ts'
import { LogTables } from './log-tables.ts'
import { LogWriter } from './log-writer.ts'
import { isBusy, isFatal, type WireError, writeError } from './sqlite-errors.ts'
import { TaskWriter } from './task-writer.ts'
import type { AppendReply, UnitRequest, WriteReply, WriteRequest } from './writer-protocol.ts'

export interface WriterClock {
  now(): number
  monotonic(): number
  /** Blocks this thread. The writer has nothing else to do while another process holds the lock. */
  pause(ms: number): void
}

export type Answer = { readonly reply: WriteReply } | { readonly error: WireError }

const lockPauseMs = 0.2
/** Others wrote within this time: leave them a gap between two transactions, or they might never get in. */
const companyMs = 200
const gapMs = 0.3

/**
 * The one writer of this process. Turns a group of requests into one transaction (group commit).
 *
 * Each request is checked before it writes, so a refused one leaves no trace and the others go on. Anything that
 * fails half-way rolls back the whole group: nothing of it exists then, and all of it is answered `not-applied`.
 * If the commit itself fails, nobody knows: all `unknown`, and no further write until the file is opened again (D4).
 */
export class Writer {
  readonly #database: DatabaseSync
  readonly #file: string
  readonly #clock: WriterClock
  readonly #lockWaitMs: number
  readonly #tables: LogTables
  readonly #log: LogWriter
  readonly #tasks: TaskWriter
  #synchronous: 'full' | 'normal' = 'full'
  #failed: SemelError | undefined
  #lastCompanyMs = Number.NEGATIVE_INFINITY

  constructor(database: DatabaseSync, file: string, clock: WriterClock, lockWaitMs: number) {
    this.#database = database
    this.#file = file
    this.#clock = clock
    this.#lockWaitMs = lockWaitMs
    this.#tables = new LogTables(database)
    const now = (): number => clock.now()
    this.#log = new LogWriter(database, this.#tables, now)
    this.#tasks = new TaskWriter(database, this.#log, now)
  }

  get tables(): LogTables {
    return this.#tables
  }

  /** Runs requests in one transaction; one answer each, in order. */
  run(requests: readonly WriteRequest[]): Answer[] {
    if (this.#failed !== undefined) return requests.map(() => ({ error: this.#refusal() }))
    try {
      this.begin(requests.some((request) => request.op !== 'append' || request.durability === 'fsync'))
    } catch (error) {
      return this.#rejectAll(requests, error)
    }
    const answers: Answer[] = []
    try {
      for (const request of requests) answers.push(this.#runOne(request))
      this.#tables.flush()
      crashPoint('writer.heads-flushed')
    } catch (error) {
      this.rollback()
      return this.#rejectAll(requests, error)
    }
    try {
      this.commitOrFail()
    } catch (error) {
      const failure = { error: writeError(error, this.#file, 'unknown').toJSON() }
      return requests.map(() => failure)
    }
    return answers
  }

  get failed(): boolean {
    return this.#failed !== undefined
  }

  /** Starts a transaction and takes in what others committed. Waits for other processes' locks, within limits. */
  begin(durable: boolean): void {
    this.#setSynchronous(durable ? 'full' : 'normal')
    this.#leaveGap()
    const dueMs = this.#clock.monotonic() + this.#lockWaitMs
    for (;;) {
      try {
        this.#database.exec('begin immediate')
        break
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonic() >= dueMs) throw error
        this.#lastCompanyMs = this.#clock.monotonic()
        this.#clock.pause(lockPauseMs)
      }
    }
    crashPoint('writer.begun')
    try {
      if (this.#tables.catchUp()) this.#lastCompanyMs = this.#clock.monotonic()
    } catch (error) {
      this.rollback()
      throw error
    }
    crashPoint('writer.caught-up')
  }

  /** Applies a unit inside the open transaction; throws before writing anything if it is refused. */
  applyUnit(unit: UnitRequest): void {
    const taskId = this.#tasks.check(unit)
    crashPoint('writer.unit-checked')
    this.#tasks.apply(unit, taskId)
    crashPoint('writer.unit-applied')
  }

  /** Ends the open transaction. If that fails, the outcome is unknown and the writer writes no more. */
  commitOrFail(): void {
    try {
      this.#sealIds()
      crashPoint('writer.before-commit')
      this.#database.exec('commit')
      crashPoint('writer.committed')
    } catch (error) {
      throw this.#failStop(error)
    }
  }

  rollback(): void {
    if (this.#database.isTransaction) this.#database.exec('rollback')
    this.#tables.forget()
  }

  /** From now on every write is refused (D4). */
  #failStop(error: unknown): SemelError {
    this.#failed = writeError(error, this.#file, 'unknown')
    try {
      this.rollback()
    } catch {
      // The connection is beyond help; the file is recovered when it is opened again.
    }
    return this.#failed
  }

  #runOne(request: WriteRequest): Answer {
    try {
      return { reply: this.#dispatch(request) }
    } catch (error) {
      // Our own refusals come before the first write of a request; everything else ends the group.
      if (!isSemelError(error)) throw error
      if (request.op === 'append') this.#log.noteRejected(request)
      return { error: error.toJSON() }
    }
  }

  #dispatch(request: WriteRequest): WriteReply {
    switch (request.op) {
      case 'append':
        return this.#append(request)
      case 'unit':
        this.applyUnit(request)
        return undefined
      case 'declare':
        this.#tables.declare(request.topics)
        return undefined
      case 'heartbeat':
        return this.#tasks.heartbeat(request.group, request.member, request.leaseMs, request.report)
      case 'acquire':
        return this.#tasks.acquire(request.task, request.member, request.leaseMs, request.observedEpoch)
      case 'release':
        this.#tasks.release(request.task, request.epoch)
        return undefined
      case 'leave':
        this.#tasks.leave(request.group, request.member)
        return undefined
    }
  }

  #append(request: Extract<WriteRequest, { op: 'append' }>): AppendReply {
    const reply = this.#log.append(request)
    crashPoint('writer.batches-stored')
    return reply
  }

  #sealIds(): void {
    for (const topic of this.#tables.topics) {
      if (topic.dedup === undefined) continue
      const ends = new Map(topic.partitions.map((head) => [head.id, head.nextOffset]))
      topic.dedup.step(ends, this.#clock.now() - topic.dedupWindowMs)
    }
  }

  #rejectAll(requests: readonly WriteRequest[], error: unknown): Answer[] {
    if (isFatal(error)) this.#failStop(error)
    const wire = writeError(error, this.#file, 'not-applied').toJSON()
    for (const request of requests) if (request.op === 'append') this.#log.noteRejected(request)
    return requests.map(() => ({ error: wire }))
  }

  #refusal(): WireError {
    return new SemelError(
      'ENGINE_FAILED',
      `writing to ${this.#file} failed before, so nothing more is written`,
      {
        hint: 'open the bus again: recovery decides what was kept',
        cause: this.#failed,
      },
    ).toJSON()
  }

  #setSynchronous(level: 'full' | 'normal'): void {
    if (this.#synchronous === level) return
    this.#database.exec(`pragma synchronous = ${level}`)
    this.#synchronous = level
  }

  #leaveGap(): void {
    if (this.#clock.monotonic() - this.#lastCompanyMs < companyMs) this.#clock.pause(gapMs)
  }
}
