import type { Place } from '../../engine/engine.ts'
import { isSemelError, SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'
import { StatementFailure, translated } from './postgres-errors.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { Servers } from './servers.ts'
import type { Session } from './session.ts'
import { taskName } from './task-table.ts'
import { beginSql, commit, rollback } from './transaction.ts'
import type { WriteRequest } from './write-requests.ts'
import { type RoundParts, WriteRound, type Written } from './write-round.ts'

export interface WriterParts {
  readonly round: RoundParts
  readonly servers: Servers
  readonly platform: Platform
  /** Events have come there. */
  readonly onWritten: (places: readonly Place[]) => void
}

/**
 * The one writer of this process: what waits becomes one transaction, then what has come meanwhile becomes the next
 * (group commit). A write is
 *
 *  ONE STATEMENT  if nobody else is expected to write to the same topics: plan, then compare and write. No lock is
 *                 held while anything travels, and no transaction is open that a crash of ours would leave behind.
 *  LOCKED         after such a statement found that others had written: the same statement in a transaction. It fails
 *                 again, but keeps its locks, so the next attempt is sure to work.
 */
export class Writer {
  readonly #parts: WriterParts
  #queue: WriteRequest[] = []
  #running: Promise<void> | undefined
  #companyUntil = 0
  /** By topic: when the units that had their turns before have been written. */
  readonly #turns = new Map<string, Promise<unknown>>()
  commits = 0
  requests = 0

  constructor(parts: WriterParts) {
    this.#parts = parts
  }

  submit(request: WriteRequest): void {
    this.#queue.push(request)
    this.#running ??= this.#run()
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** What `writeInside` needs to know, over another connection: it must outlive a rollback. */
  async prepare(round: WriteRound): Promise<void> {
    await this.#parts.servers.use((session) => round.prepare(session))
  }

  /**
   * Units of users' transactions that append to the same topic take turns here. The server lets only one of them write
   * at a time; whoever waited there would find that another had written, and send all of its unit again.
   */
  async inTurn<T>(topics: Iterable<string>, write: () => Promise<T>): Promise<T> {
    const names = [...topics]
    const turn = Promise.all(names.map((name) => this.#turns.get(name))).then(write)
    const over = turn.catch(() => undefined)
    for (const name of names) this.#turns.set(name, over)
    return await turn
  }

  /** Writes inside a transaction that somebody else began and will end. Undefined: refused. */
  async writeInside(session: Session, round: WriteRound): Promise<Written | undefined> {
    return await this.#untilWritten(session, round)
  }

  /** A commit without events wakes nobody: each reader would ask the server for nothing. */
  noteWritten({ draft }: Written): void {
    if (draft.rows.length > 0) this.#parts.onWritten(draft.places)
  }

  /** Counts of refused duplicates that no write has taken along yet. */
  async writeRefused(): Promise<void> {
    const { servers, round } = this.#parts
    if (round.refused.isEmpty) return
    await servers.use((session) => round.refused.write(session))
  }

  newRound(requests: readonly WriteRequest[]): WriteRound {
    return new WriteRound(this.#parts.round, requests)
  }

  async #run(): Promise<void> {
    // Whatever else is published in this turn of the event loop shall come along.
    await new Promise<void>((resolve) => this.#parts.platform.timers.soon(resolve))
    while (this.#queue.length > 0) await this.#write(this.#take())
    this.#running = undefined
  }

  /** The next requests in their order: as many as make a transaction worth its cost, the rest while that is written. */
  #take(): readonly WriteRequest[] {
    const tasks = new Set<string>()
    let bytes = 0
    let count = 0
    for (const request of this.#queue) {
      if (count >= postgresLimits.groupRequestsMax || bytes >= postgresLimits.groupBytesTarget) break
      bytes += request.bytes
      if (request.kind === 'unit') {
        const name = taskName(request.unit.lease.task)
        if (tasks.has(name)) break
        tasks.add(name)
      }
      count++
    }
    return this.#queue.splice(0, count)
  }

  /** Writes some requests; each of them is answered when this resolves, which it always does. */
  async #write(requests: readonly WriteRequest[]): Promise<void> {
    this.requests += requests.length
    const round = this.newRound(requests)
    try {
      await this.#writeRound(round)
    } catch (error) {
      const left = round.requests
      const isTheirs = error instanceof StatementFailure && !error.isLost && !error.isPassing
      if (isTheirs && left.length > 1) {
        for (const request of left) await this.#write([request])
      } else round.refuseAll(translated(error, 'writing', true))
    }
  }

  async #writeRound(round: WriteRound): Promise<void> {
    for (let attempt = 1; !round.isEmpty; attempt++) {
      const session = await this.#parts.servers.lease()
      try {
        const written = await this.#once(session, round)
        if (written === undefined) continue
        this.commits++
        round.settle(written)
        this.#answer(round, written)
        return
      } catch (error) {
        const isPassing = error instanceof StatementFailure && error.isPassing
        if (!isPassing || attempt >= postgresLimits.attemptsMax) throw error
        await this.#pause(attempt)
      } finally {
        session.release()
      }
    }
  }

  /**
   * What waits is sent first: whatever the callers do with their answers takes place while the server works. Without
   * this, all who publish again at once would meet in one round, and the server would stand still while they prepare.
   */
  #answer(round: WriteRound, written: Written): void {
    const answer = (): void => {
      round.answer(written)
      this.noteWritten(written)
    }
    if (this.#queue.length === 0) answer()
    else this.#parts.platform.timers.soon(answer)
  }

  async #once(session: Session, round: WriteRound): Promise<Written | undefined> {
    try {
      await round.prepare(session)
    } catch (error) {
      throw notSent(error)
    }
    if (round.isEmpty) return undefined
    const { monotonic } = this.#parts.platform.clock
    if (monotonic() >= this.#companyUntil) {
      const written = await round.attempt(session)
      if (written !== undefined || !round.hasCompany) return written
      this.#companyUntil = monotonic() + postgresLimits.companyMs
    }
    return await this.#locked(session, round)
  }

  async #locked(session: Session, round: WriteRound): Promise<Written | undefined> {
    await session.command(beginSql)
    let written: Written | undefined
    try {
      written = await this.#untilWritten(session, round)
    } catch (error) {
      await rollback(session)
      throw notSent(error)
    }
    if (written === undefined) await rollback(session)
    else await commit(session)
    if (round.hasCompany) {
      this.#companyUntil = this.#parts.platform.clock.monotonic() + postgresLimits.companyMs
    }
    return written
  }

  /** Undefined: all requests were refused. */
  async #untilWritten(session: Session, round: WriteRound): Promise<Written | undefined> {
    for (let attempt = 1; !round.isEmpty; attempt++) {
      const written = await round.attempt(session)
      if (written !== undefined) return written
      if (attempt > postgresLimits.attemptsMax) {
        throw new SemelError('ENGINE_UNAVAILABLE', 'what is written changes under our locks', {
          retryable: true,
        })
      }
    }
    return undefined
  }

  async #pause(attempt: number): Promise<void> {
    const { platform } = this.#parts
    await sleep(platform, postgresLimits.attemptPauseMs * attempt * (0.5 + platform.random.fraction()))
  }
}

/** What failed before anything was sent that could commit has surely not happened, even if the connection is gone. */
function notSent(error: unknown): unknown {
  if (isSemelError(error) || !(error instanceof StatementFailure) || !error.isLost) return error
  return translated(error, 'writing', false)
}
