import { FleetingMap } from '../engine/fleeting-map.ts'
import { assert, SemelError } from '../errors.ts'
import type { StoredEvent } from '../event/event.ts'
import type { Timer } from '../platform/platform.ts'
import { Attempt } from './attempt.ts'
import { channels } from './channels.ts'
import { EventTransaction, type TransactionContext } from './event-transaction.ts'
import { type HandlerScope, handlerScope } from './handler-scope.ts'
import { type HandlerEnd, HandlerWatch } from './handler-watch.ts'
import { mayRetry, retryDelayMs } from './retry-policy.ts'
import { RunningAttempts } from './running-attempts.ts'
import type { Slot } from './slot.ts'
import type { SqlSession } from './sql-session.ts'
import type { TaskContext } from './task-context.ts'
import type { Window } from './window.ts'

/** What the session does with events that are over. */
export interface DispatcherEvents {
  /** The attempt succeeded. */
  succeeded(slot: Slot, tx: EventTransaction): void
  /** No further attempt: to the dead letters. `slot.event` is still there. */
  exhausted(slot: Slot, error: unknown, attempts: number): void
  /** Something settled or there is room again; the session looks at what to do next. */
  progressed(): void
  /** The task cannot go on. */
  failed(error: unknown): void
  /** A fresh copy of an event for its next attempt; the handler may have changed the last one. */
  reread(slot: Slot): Promise<StoredEvent>
}

/** A busy key that nobody waits for; most keys never have more. */
const emptyLane: Slot[] = []

/** After this many starts in one turn, other work of the process gets its turn. */
const startsPerTurn = 512
/** Running attempts are looked at this often within a time-out. */
const roundsPerTimeout = 4
const atOnce = Promise.resolve()

/**
 * Starts handlers: offset order, one event per key at a time, up to `concurrency` keys side by side (O1).
 *
 * An event whose key is busy waits in that key's lane, and nothing else waits for it. With concurrency 1, a failed
 * event holds the whole partition until its next attempt: that is what order per partition means.
 */
export class Dispatcher {
  readonly #context: TaskContext
  readonly #transactions: TransactionContext
  readonly #window: Window
  readonly #sql: SqlSession
  readonly #events: DispatcherEvents
  readonly #hasRoom: () => boolean
  readonly #isMoreComing: () => boolean
  readonly #scope: HandlerScope
  readonly #lanes = new FleetingMap<string, Slot[]>()
  readonly #running = new RunningAttempts()
  readonly #retryTimers = new Set<Timer>()
  readonly #redeliveredBelow: number
  #waiting = 0
  /** Next attempts, freed lanes and dead letters on their way back: first in line for a free place. */
  readonly #comingBack: Slot[] = []
  #unsettled = 0
  #turnPlanned = false
  #goOnPlanned = false
  /** Rounds of looking at running attempts. */
  #round = 0
  readonly #idleWatches: HandlerWatch[] = []
  #timeoutTimer: Timer | undefined
  #stopped = false

  constructor(
    context: TaskContext,
    parts: { transactions: TransactionContext; window: Window; sql: SqlSession },
    ask: { hasRoom: () => boolean; isMoreComing: () => boolean },
    redeliveredBelow: number,
    events: DispatcherEvents,
  ) {
    this.#context = context
    this.#transactions = parts.transactions
    this.#window = parts.window
    this.#sql = parts.sql
    this.#hasRoom = ask.hasRoom
    this.#isMoreComing = ask.isMoreComing
    this.#redeliveredBelow = redeliveredBelow
    this.#events = events
    const { group, strict } = context.settings
    this.#scope = { group, strict }
  }

  /** Handlers running now. */
  get running(): number {
    return this.#running.size
  }

  /** Handlers that have not returned yet, also those whose attempt timed out or was abandoned. */
  get unsettled(): number {
    return this.#unsettled
  }

  /** Whether something will finish without outside help: the open unit may wait for it. */
  get busy(): boolean {
    if (this.#running.size > 0) return true
    return (this.#window.ready > 0 || this.#comingBack.length > 0 || this.#isMoreComing()) && this.#canStart
  }

  get #canStart(): boolean {
    const { concurrency } = this.#context.settings
    const held = this.#running.size + (concurrency === 1 ? this.#waiting : 0)
    return !this.#stopped && held < concurrency && this.#hasRoom()
  }

  /** Starts what can be started. Returns after a bounded number of starts and goes on in a later turn. */
  pump(): void {
    handlerScope.run(this.#scope, () => {
      for (let starts = 0; this.#canStart; starts++) {
        if (starts === startsPerTurn) {
          this.#planTurn()
          return
        }
        const back = this.#comingBack.shift()
        const slot = back ?? this.#window.take()
        if (slot === undefined) return
        if (slot === back || this.#takesLane(slot)) this.#start(slot)
      }
    })
  }

  /** Takes in a slot that does not come out of the window. */
  admit(slot: Slot): void {
    if (this.#takesLane(slot)) this.#startWhenFree(slot)
  }

  /** Whether a slot's key was free and now is its own; otherwise it waits in the lane of its busy key. */
  #takesLane(slot: Slot): boolean {
    const { key } = slot
    if (key !== null && this.#context.settings.concurrency > 1) {
      const lane = this.#lanes.get(key)
      if (lane !== undefined) {
        if (lane === emptyLane) this.#lanes.set(key, [slot])
        else lane.push(slot)
        return false
      }
      this.#lanes.set(key, emptyLane)
    }
    return true
  }

  /** Starts a slot that may run as soon as there is a place for one more. */
  #startWhenFree(slot: Slot): void {
    if (this.#canStart) handlerScope.run(this.#scope, () => this.#start(slot))
    else if (!this.#stopped) this.#comingBack.push(slot)
  }

  /** No new attempts; running ones go on. */
  stopStarting(): void {
    this.#stopped = true
    for (const timer of this.#retryTimers) timer.cancel()
    this.#retryTimers.clear()
    this.#waiting = 0
    if (this.#running.size === 0) this.#timeoutTimer?.cancel()
  }

  /** Ends all running attempts: their handles close, their signals abort, their results count no more. */
  abandon(reason: Error): void {
    this.stopStarting()
    this.#timeoutTimer?.cancel()
    for (const { slot, attempt } of this.#running.takeAll()) {
      slot.tx?.close()
      attempt.abort(reason)
      this.#context.counters.inFlight--
    }
  }

  #planTurn(): void {
    if (this.#turnPlanned) return
    this.#turnPlanned = true
    this.#context.platform.timers.soon(() => {
      this.#turnPlanned = false
      if (!this.#stopped) this.pump()
      this.#events.progressed()
    })
  }

  #start(slot: Slot): void {
    slot.attempt++
    const { handler, counters } = this.#context
    const redelivered = slot.attempt > 1 || slot.redrive !== undefined || slot.offset < this.#redeliveredBelow
    const attempt = new Attempt(slot, this.#context.lease.task, redelivered)
    const tx = new EventTransaction(this.#transactions, slot)
    slot.tx = tx
    slot.startedRound = this.#round
    this.#running.add(slot, attempt)
    counters.inFlight++
    if (this.#timeoutTimer === undefined) this.#watchTimeouts()
    let result: unknown
    try {
      result = Reflect.apply(handler, undefined, [attempt, tx])
    } catch (error) {
      result = Promise.reject(error)
    }
    this.#unsettled++
    const watch = this.#idleWatches.pop() ?? new HandlerWatch(this.#idleWatches, this.#onEnd)
    watch.await(result, slot, tx)
  }

  readonly #onEnd: HandlerEnd = (slot, tx, failure) => {
    this.#unsettled--
    this.#settled(slot, tx, failure)
  }

  #settled(slot: Slot, tx: EventTransaction, failure: { error: unknown } | undefined): void {
    // An attempt that timed out or was abandoned settles here later, and no longer counts.
    if (slot.tx !== tx || !this.#running.remove(slot)) {
      this.#events.progressed()
      return
    }
    this.#context.counters.inFlight--
    if ((failure === undefined && this.#sql.pass(slot)) || !this.#sql.concerns(slot)) {
      this.#conclude(slot, tx, failure)
      return
    }
    this.#sql.leave(slot, failure === undefined).then(
      () => this.#conclude(slot, tx, failure),
      (error: unknown) => this.#events.failed(error),
    )
  }

  #conclude(slot: Slot, tx: EventTransaction, failure: { error: unknown } | undefined): void {
    if (failure === undefined) {
      this.#context.counters.handled++
      this.#events.succeeded(slot, tx)
      this.#release(slot)
    } else {
      tx.close()
      this.#afterFailure(slot, failure.error)
    }
    if (this.#goOnPlanned) return
    this.#goOnPlanned = true
    void atOnce.then(this.#goOn)
  }

  /** Handlers often end together: what is next is looked at once for all of them. */
  readonly #goOn = (): void => {
    this.#goOnPlanned = false
    if (!this.#stopped) this.pump()
    this.#events.progressed()
  }

  #afterFailure(slot: Slot, error: unknown): void {
    if (this.#stopped) return
    const { settings, lease, platform, counters } = this.#context
    const allowed = settings.guarantee !== 'at-most-once' && mayRetry(settings.retry, slot.attempt, error)
    if (!allowed) {
      this.#events.exhausted(slot, error, slot.attempt + (slot.redrive?.attemptsBefore ?? 0))
      this.#release(slot)
      return
    }
    counters.retries++
    const delayMs = retryDelayMs(settings.retry, slot.attempt, platform.random)
    if (channels.retry.hasSubscribers) {
      channels.retry.publish({ ...lease.task, offset: slot.offset, attempt: slot.attempt, delayMs, error })
    }
    this.#waiting++
    const timer = platform.timers.after(delayMs, () => {
      this.#retryTimers.delete(timer)
      void this.#retry(slot)
    })
    this.#retryTimers.add(timer)
  }

  async #retry(slot: Slot): Promise<void> {
    try {
      const event = await this.#events.reread(slot)
      if (this.#stopped) return
      assert(event.offset === slot.offset, 'a reread gives the same event')
      slot.event = event
      // Only now: while the event is read again, it still holds its partition (O1).
      this.#waiting--
      this.#startWhenFree(slot)
    } catch (error) {
      this.#events.failed(error)
    }
  }

  /** The key's next event may start. */
  #release(slot: Slot): void {
    const { key } = slot
    if (key === null || this.#context.settings.concurrency === 1) return
    const lane = this.#lanes.get(key)
    if (lane === undefined) return
    const next = lane === emptyLane ? undefined : lane.shift()
    if (next === undefined) this.#lanes.delete(key)
    else this.#startWhenFree(next)
  }

  // One timer looks at all running attempts: cheaper than one each, or a clock, and precise to a quarter of the time-out.
  #watchTimeouts(): void {
    const { handlerTimeoutMs } = this.#context.settings
    this.#timeoutTimer = this.#context.platform.timers.after(
      Math.max(1, handlerTimeoutMs / roundsPerTimeout),
      () => {
        // At the fifth round after its start, an attempt has lasted four whole ones.
        const startedBefore = this.#round++ - roundsPerTimeout
        for (const { slot, attempt } of this.#running.list())
          if (slot.startedRound <= startedBefore) this.#timeOut(slot, attempt)
        this.#timeoutTimer = undefined
        if (this.#running.size > 0) this.#watchTimeouts()
      },
    )
  }

  #timeOut(slot: Slot, attempt: Attempt): void {
    const { handlerTimeoutMs } = this.#context.settings
    this.#context.counters.timeouts++
    const error = new SemelError(
      'HANDLER_TIMEOUT',
      `the handler did not finish within ${handlerTimeoutMs} ms`,
      {
        retryable: true,
        limit: handlerTimeoutMs,
        hint: 'stop on event.signal, or raise handlerTimeoutMs',
      },
    )
    slot.tx?.close()
    attempt.abort(error)
    if (slot.tx !== undefined) this.#settled(slot, slot.tx, { error })
  }
}
