import type { AppendBatch, Engine, Lease, StateChanges, UnitTransaction } from '../engine/engine.ts'
import type { OutboxProblem } from '../engine/status.ts'
import { outboxTask, storeNames } from '../engine/store-names.ts'
import { hasCode, isHarmless, isSemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Platform } from '../platform/platform.ts'
import { sleep } from '../platform/wait.ts'
import { retryDelayMs } from '../runtime/retry-policy.ts'
import { batchesOf, type PlacedEvent } from './outbox-batches.ts'
import { decodeRows, type GoodRow, type RefusedRow, reasonOf } from './outbox-event.ts'
import { OutboxTable, type TakenRow } from './outbox-table.ts'
import type { OutboxTarget } from './outbox-target.ts'
import { SettledNumbers } from './settled-numbers.ts'

const batchEvents = 1_000
const batchBytes = limits.unitBytesMax / 4
const retryPolicy = { attempts: 1, baseDelayMs: 10, maxDelayMs: 5_000, onExhausted: 'block' } as const

export interface MoverParts {
  /** The engine that keeps the outbox. */
  readonly engine: Engine
  /** Where events go if not into the same engine's log. Closed by whoever made it. */
  readonly into: OutboxTarget | undefined
  readonly schema: string
  readonly platform: Platform
}

/**
 * Moves events from the outbox to the log while this process holds the lease. A step is one transaction: rows leave the
 * outbox, events enter the log, and the task's epoch and position are compared. Whatever happens to us, to the server
 * or to the answer, an event is in one of the two places, and in one only.
 *
 * With `into`, events are published to another bus before the transaction commits. After a kill in between they are
 * still here; `OutboxTarget` sees to it that they count once.
 *
 *  MANY -> ONE BY ONE   the log refused an event of the batch (ID_CONFLICT): as many steps of one event follow, so that
 *                       the event at fault is found and set aside, with the reason, and no other
 *  any  -> LOADING      a step failed that surely does not count: the position is loaded again
 *  any  -> UNSURE       a step failed that may still come to count: whoever goes on needs a higher epoch (U1, Z1)
 *  any  -> ENDED        FENCED: another process has the lease
 */
export class OutboxMover {
  readonly #engine: Engine
  readonly #into: OutboxTarget | undefined
  readonly #lease: Lease
  readonly #table: OutboxTable
  readonly #platform: Platform
  readonly #numbers: SettledNumbers
  #position: number | undefined
  #oneByOne = 0
  #problem: OutboxProblem | undefined

  constructor({ engine, into, schema, platform }: MoverParts, lease: Lease) {
    this.#engine = engine
    this.#into = into
    this.#lease = lease
    this.#table = new OutboxTable(schema)
    this.#platform = platform
    this.#numbers = new SettledNumbers(this.#table, platform.clock)
  }

  /** Until `signal` aborts, the lease is lost, or nobody knows what became of a step. Never rejects. */
  async run(signal: AbortSignal, onMoved: (events: number) => void): Promise<'ended' | 'unsure'> {
    const platform = this.#platform
    let pauseMs: number = limits.pollMsMin
    let failures = 0
    let isLoaded = false
    while (!signal.aborted) {
      try {
        if (!isLoaded) await this.#load()
        isLoaded = true
        const moved = await this.#step(signal)
        failures = 0
        onMoved(moved)
        pauseMs = moved > 0 ? limits.pollMsMin : Math.min(limits.pollMsMax, pauseMs * 2)
        if (moved === 0) await sleep(platform, pauseMs, signal)
      } catch (error) {
        if (signal.aborted || hasCode(error, 'FENCED')) return 'ended'
        isLoaded = false
        failures++
        if (hasCode(error, 'ID_CONFLICT')) this.#oneByOne = batchEvents
        else await this.#noteProblem(error, platform.clock.now())
        await sleep(
          platform,
          retryDelayMs(retryPolicy, Math.min(failures, 10), platform.random),
          signal,
        ).catch(() => undefined)
        if (!isHarmless(error)) return 'unsure'
      }
    }
    return 'ended'
  }

  async #load(): Promise<void> {
    const { task } = this.#lease
    this.#position = (await this.#engine.load(this.#lease)).position
    const [text] = await this.#engine.readState(task, storeNames.outbox, [outboxTask.problemKey])
    this.#problem = text === undefined ? undefined : JSON.parse(text)
  }

  /** How many events left the outbox. */
  async #step(signal: AbortSignal): Promise<number> {
    await this.#into?.ready(signal, this.#position ?? 0)
    const transaction = await this.#engine.begin(this.#lease, signal)
    try {
      const rows = await this.#numbers.take(transaction, this.#oneByOne > 0 ? 1 : batchEvents, batchBytes)
      if (rows.length > 0) await this.#move(transaction, rows)
      else await this.#nothing(transaction)
      this.#oneByOne = Math.max(0, rows.length === 0 ? 0 : this.#oneByOne - 1)
      return rows.length
    } finally {
      await transaction.rollback()
    }
  }

  async #move(transaction: UnitTransaction, rows: readonly TakenRow[]): Promise<void> {
    const { good, refused } = decodeRows(rows)
    try {
      await this.#into?.publish(good)
      const appends = this.#into === undefined ? batchesOf(good.map(placed)) : []
      await this.#commit(transaction, appends, refused, rows.length)
    } catch (error) {
      if (rows.length > 1 || !hasCode(error, 'ID_CONFLICT')) throw error
      // Its rows are locked until it ends.
      await transaction.rollback()
      await this.#setAside(rows[0]!, error)
    }
  }

  /** The log would not take this one event, so it is kept beside the outbox with the reason. */
  async #setAside(row: TakenRow, error: unknown): Promise<void> {
    const transaction = await this.#engine.begin(this.#lease, new AbortController().signal)
    try {
      const [taken] = await this.#numbers.take(transaction, 1, batchBytes)
      if (taken?.place === row.place) {
        await this.#commit(transaction, [], [{ row, reason: reasonOf(error) }], 1)
      }
    } finally {
      await transaction.rollback()
    }
  }

  async #commit(
    transaction: UnitTransaction,
    appends: readonly AppendBatch[],
    refused: readonly RefusedRow<TakenRow>[],
    count: number,
  ): Promise<void> {
    for (const { row, reason } of refused) await this.#table.setAside(transaction, row, reason)
    const to = (this.#position ?? 0) + count
    const state = this.#problem === undefined ? [] : [problemChange(undefined)]
    await transaction.commit({
      lease: this.#lease,
      from: this.#position,
      to,
      logId: this.#engine.logId,
      appends,
      state,
    })
    this.#position = to
    this.#problem = undefined
  }

  /** An empty outbox is no problem any more. */
  async #nothing(transaction: UnitTransaction): Promise<void> {
    if (this.#problem !== undefined) await this.#commit(transaction, [], [], 0)
  }

  /** For the status, which any process may ask for. If even this cannot be written, the next attempt says so again. */
  async #noteProblem(error: unknown, now: number): Promise<void> {
    const code = isSemelError(error) ? error.code : 'ENGINE_FAILED'
    const message = error instanceof Error ? error.message : String(error)
    if (this.#problem?.message === message) return
    const problem = { code, message, since: this.#problem?.since ?? now }
    try {
      const { position } = await this.#engine.load(this.#lease)
      await this.#engine.commit({
        lease: this.#lease,
        from: position,
        to: position ?? 0,
        logId: this.#engine.logId,
        appends: [],
        state: [problemChange(problem)],
      })
      this.#problem = problem
    } catch {
      this.#problem = undefined
    }
  }
}

function placed({ topic, record, row: { place, partitions } }: GoodRow<TakenRow>): PlacedEvent {
  return { topic, record, place, partitions }
}

function problemChange(problem: OutboxProblem | undefined): StateChanges {
  const value = problem === undefined ? undefined : JSON.stringify(problem)
  return { store: storeNames.outbox, keys: [outboxTask.problemKey], values: [value] }
}
