import type { AppendedBatch, AppendGroup, AppendResult, Engine } from '../engine/engine.ts'
import type { Durability } from '../engine/facts.ts'
import { assert, isSemelError, SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Platform, Timer } from '../platform/platform.ts'
import { type AppendGroupBuilder, groupOf } from './append-group.ts'
import { type PreparedCall, snapshot } from './prepare-call.ts'

/** Offsets of one call's events, in the caller's order. */
export interface CallResult {
  readonly offsets: readonly number[]
  /** Indexes of events that were duplicates; `undefined` if none was. */
  readonly duplicates: ReadonlySet<number> | undefined
}

export interface PublisherOptions {
  readonly queueEventsMax: number
  readonly queueBytesMax: number
  /** What a publish does when the queue is full: wait for room, or fail with BUSY. */
  readonly whenFull: 'wait' | 'fail'
  /** A publish that is not settled after this long fails with DEADLINE_EXCEEDED. */
  readonly deadlineMs: number
}

export interface CallOptions {
  readonly durability: Durability
  readonly signal: AbortSignal | undefined
}

interface QueuedCall {
  readonly call: PreparedCall
  readonly durability: Durability
  readonly dueMs: number
  readonly resolve: (result: CallResult) => void
  readonly reject: (error: Error) => void
  settled: boolean
  /** Stops watching the caller's signal. */
  unlisten: (() => void) | undefined
}

/** A call that waits until the queue has room. */
interface Waiter {
  readonly admit: () => void
}

/** So many events go to the engine at once when it has room; fewer wait a turn for company. */
const directEventsMin = 128
const waitersMax = 10_000

/**
 * Group commit (design.md section 3): calls of concurrent callers share one durable write.
 *
 * A call is QUEUED until the engine takes it, IN FLIGHT until the engine answers, then SETTLED.
 *  QUEUED    -> IN FLIGHT  fewer groups are in flight than the engine wants (`appendGroupsMax`); at most one turn of the
 *                          event loop is spent waiting for company, so a batch timer never holds anybody up
 *  QUEUED    -> SETTLED    deadline, abort or close: `not-applied`
 *  IN FLIGHT -> SETTLED    the engine's answer; after the deadline `unknown`, because nobody knows
 * Order of calls is kept per partition (P2): groups are formed in call order, and the engine is told how many
 * failures we knew of, so that nothing overtakes a failed predecessor.
 */
export class Publisher {
  readonly #engine: Engine
  readonly #platform: Platform
  readonly #options: PublisherOptions
  readonly #queue: QueuedCall[] = []
  #queueHead = 0
  #queuedEvents = 0
  #queuedBytes = 0
  #groupsInFlight = 0
  #failuresSeen = 0
  #flushPlanned = false
  #deadlineTimer: Timer | undefined
  readonly #waiters: Waiter[] = []
  #idle: (() => void)[] = []
  #closed = false

  constructor(engine: Engine, platform: Platform, options: PublisherOptions) {
    this.#engine = engine
    this.#platform = platform
    this.#options = options
  }

  get queuedEvents(): number {
    return this.#queuedEvents
  }

  /** Appends one prepared call. Must be called in the order the caller published. */
  // No async function: each event of many small calls would pay for one more promise and its turns.
  publish(call: PreparedCall, options: CallOptions): Promise<CallResult> {
    try {
      this.#requireOpen()
      if (options.signal?.aborted) throw aborted(options.signal, 'not-applied')
      if (this.#mayGoDirect(call)) return this.#send(call, options)
      const kept = snapshot(call)
      if (!this.#isFull(kept)) return this.#send(kept, options)
      this.#requireMayWait()
      return this.#sendWhenRoom(kept, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Waits until nothing is queued or in flight; then every later call fails with BUS_CLOSED. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#queue.length > this.#queueHead || this.#groupsInFlight > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
    this.#deadlineTimer?.cancel()
    for (const waiter of this.#waiters.splice(0)) waiter.admit()
  }

  #requireOpen(): void {
    if (this.#closed) throw closedError()
  }

  // A large call meets an idle engine: its data is encoded before this turn ends, so no copy is needed.
  #mayGoDirect(call: PreparedCall): boolean {
    return (
      call.events >= directEventsMin &&
      this.#queue.length === this.#queueHead &&
      this.#waiters.length === 0 &&
      this.#groupsInFlight < this.#engine.facts.appendGroupsMax
    )
  }

  #send(call: PreparedCall, options: CallOptions, dueMs = this.#due()): Promise<CallResult> {
    return new Promise((resolve, reject) => {
      const queued: QueuedCall = {
        call,
        durability: options.durability,
        dueMs,
        resolve,
        reject,
        settled: false,
        unlisten: undefined,
      }
      this.#enqueue(queued)
      if (options.signal) this.#watchAbort(queued, options.signal)
      if (this.#queuedEvents >= directEventsMin) this.#flush()
      else this.#planFlush()
    })
  }

  #due(): number {
    return this.#platform.clock.monotonic() + this.#options.deadlineMs
  }

  #enqueue(queued: QueuedCall): void {
    this.#queue.push(queued)
    this.#queuedEvents += queued.call.events
    this.#queuedBytes += queued.call.bytes
    if (this.#deadlineTimer === undefined) this.#watchDeadlines()
  }

  #isFull(call: PreparedCall): boolean {
    if (this.#waiters.length > 0) return true
    if (this.#queuedEvents === 0) return false
    return (
      this.#queuedEvents + call.events > this.#options.queueEventsMax ||
      this.#queuedBytes + call.bytes > this.#options.queueBytesMax
    )
  }

  #requireMayWait(): void {
    if (this.#options.whenFull === 'wait' && this.#waiters.length < waitersMax) return
    throw new SemelError(
      'BUSY',
      `the publish queue holds ${this.#queuedEvents} events, its limit is reached`,
      {
        retryable: true,
        limit: this.#options.queueEventsMax,
        actual: this.#queuedEvents,
        hint: 'await earlier publishes before publishing more',
      },
    )
  }

  /** Waits in line until there is room; joins the queue in the step that admits it, so nobody gets in between (P2). */
  #sendWhenRoom(call: PreparedCall, options: CallOptions): Promise<CallResult> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const dueMs = this.#due()
      const leave = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        admit: () => {
          leave()
          if (this.#closed) reject(closedError())
          else resolve(this.#send(call, options, dueMs))
        },
      }
      const giveUp = (error: Error): void => {
        leave()
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(error)
      }
      const onAbort = (): void => giveUp(aborted(signal, 'not-applied'))
      const timer = this.#platform.timers.after(this.#options.deadlineMs, () => giveUp(deadlineInQueue()))
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  #planFlush(): void {
    if (this.#flushPlanned) return
    this.#flushPlanned = true
    this.#platform.timers.soon(() => {
      this.#flushPlanned = false
      this.#flush()
    })
  }

  #flush(): void {
    while (
      this.#groupsInFlight < this.#engine.facts.appendGroupsMax &&
      this.#queueHead < this.#queue.length
    ) {
      const calls = this.#takeGroup()
      if (calls.length > 0) void this.#append(calls)
    }
    this.#admitWaiters()
  }

  /** Takes calls from the head of the queue up to the group's bounds, skipping those already settled. */
  #takeGroup(): QueuedCall[] {
    const calls: QueuedCall[] = []
    let events = 0
    let bytes = 0
    while (this.#queueHead < this.#queue.length) {
      const next = this.#queue[this.#queueHead]!
      const fits =
        events + next.call.events <= limits.appendGroupEventsMax &&
        bytes + next.call.bytes <= limits.appendGroupBytesMax
      if (calls.length > 0 && (!fits || next.durability !== calls[0]!.durability)) break
      this.#queueHead++
      this.#queuedEvents -= next.call.events
      this.#queuedBytes -= next.call.bytes
      if (next.settled) continue
      calls.push(next)
      events += next.call.events
      bytes += next.call.bytes
    }
    this.#compactQueue()
    return calls
  }

  #compactQueue(): void {
    if (this.#queueHead === this.#queue.length) {
      this.#queue.length = 0
      this.#queueHead = 0
    } else if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#queueHead)
      this.#queueHead = 0
    }
  }

  async #append(calls: readonly QueuedCall[]): Promise<void> {
    this.#groupsInFlight++
    try {
      const builder = groupOf(calls.map((queued) => queued.call))
      const group: AppendGroup = {
        calls: calls.length,
        batches: builder.batches,
        failuresSeen: this.#failuresSeen,
      }
      // The engine encodes before its first await, so the callers own their data again after this line.
      const appending = this.#engine.append(group, { durability: calls[0]!.durability })
      // Counted when it comes: what the engine has not reported yet must still hold back what is sent behind (P2).
      appending.then(
        ({ failures }) => this.#noteFailures(failures.size),
        () => this.#noteFailures(calls.length),
      )
      const result = await this.#orLate(calls, appending)
      this.#settleGroup(calls, builder, result)
    } catch (error) {
      for (const queued of calls) settle(queued, asUnknown(error))
    } finally {
      this.#groupsInFlight--
      this.#flush()
      if (this.#groupsInFlight === 0 && this.#queue.length === 0)
        for (const wake of this.#idle.splice(0)) wake()
    }
  }

  #noteFailures(failures: number): void {
    this.#failuresSeen += failures
  }

  /** Settles with the engine's answer. Calls whose deadline passes first are `unknown` by then, each in its time (U3). */
  #orLate(calls: readonly QueuedCall[], appending: Promise<AppendResult>): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined
      const watch = (): void => {
        const now = this.#platform.clock.monotonic()
        let nextMs = Number.POSITIVE_INFINITY
        for (const queued of calls) {
          if (queued.dueMs <= now) settle(queued, deadlineInFlight())
          if (!queued.settled) nextMs = Math.min(nextMs, queued.dueMs)
        }
        if (nextMs === Number.POSITIVE_INFINITY) reject(deadlineInFlight())
        else timer = this.#platform.timers.after(Math.max(1, nextMs - now), watch)
      }
      watch()
      appending.then(resolve, reject).finally(() => timer?.cancel())
    })
  }

  #settleGroup(calls: readonly QueuedCall[], builder: AppendGroupBuilder, result: AppendResult): void {
    let at = 0
    for (let c = 0; c < calls.length; c++) {
      const queued = calls[c]!
      const failure = result.failures.get(c)
      settle(queued, failure ?? callResult(queued.call, builder, at, result.batches))
      at += queued.call.batches.length
    }
  }

  #admitWaiters(): void {
    while (
      this.#waiters.length > 0 &&
      this.#queuedEvents < this.#options.queueEventsMax &&
      this.#queuedBytes < this.#options.queueBytesMax
    ) {
      this.#waiters.shift()!.admit()
    }
  }

  #watchAbort(queued: QueuedCall, signal: AbortSignal): void {
    const onAbort = (): void => {
      const inQueue = this.#queue.indexOf(queued, this.#queueHead) >= 0
      settle(queued, aborted(signal, inQueue ? 'not-applied' : 'unknown'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    queued.unlisten = () => signal.removeEventListener('abort', onAbort)
  }

  // One timer for the whole queue: it looks at the oldest call, which is always the first to be late.
  #watchDeadlines(): void {
    const oldest = this.#queue[this.#queueHead]
    if (oldest === undefined) {
      this.#deadlineTimer = undefined
      return
    }
    const waitMs = Math.max(1, oldest.dueMs - this.#platform.clock.monotonic())
    this.#deadlineTimer = this.#platform.timers.after(waitMs, () => {
      const now = this.#platform.clock.monotonic()
      for (let i = this.#queueHead; i < this.#queue.length && this.#queue[i]!.dueMs <= now; i++) {
        settle(this.#queue[i]!, deadlineInQueue())
      }
      this.#watchDeadlines()
    })
  }
}

function settle(queued: QueuedCall, result: CallResult | Error): void {
  if (queued.settled) return
  queued.settled = true
  queued.unlisten?.()
  if (result instanceof Error) queued.reject(result)
  else queued.resolve(result)
}

/** `at`: where the call's batches are among those of all calls. */
function callResult(
  call: PreparedCall,
  { targets, starts }: AppendGroupBuilder,
  at: number,
  appended: readonly AppendedBatch[],
): CallResult {
  const offsets = new Array<number>(call.events)
  let duplicates: Set<number> | undefined
  const cursors = starts.slice(at, at + call.batches.length)
  for (let i = 0; i < call.events; i++) {
    const own = call.batchOf[i]!
    const batch = appended[targets[at + own]!]!
    const index = cursors[own]!
    cursors[own] = index + 1
    offsets[i] = batch.offsets === undefined ? batch.firstOffset + index : batch.offsets[index]!
    if (!batch.duplicates?.has(index)) continue
    duplicates ??= new Set()
    duplicates.add(i)
  }
  return { offsets, duplicates }
}

function closedError(): SemelError {
  return new SemelError('BUS_CLOSED', 'publish after the bus was closed')
}

function aborted(signal: AbortSignal | undefined, outcome: 'not-applied' | 'unknown'): SemelError {
  return new SemelError('ABORTED', 'publish was aborted by its caller', { outcome, cause: signal?.reason })
}

function deadlineInFlight(): SemelError {
  return new SemelError('DEADLINE_EXCEEDED', 'the engine did not answer a publish in time', {
    outcome: 'unknown',
    retryable: true,
    hint: 'publish again with the same event id: inside the dedup window that is always safe (U2)',
  })
}

function deadlineInQueue(): SemelError {
  return new SemelError('DEADLINE_EXCEEDED', 'a publish waited in the queue past its deadline', {
    retryable: true,
  })
}

function asUnknown(error: unknown): Error {
  if (isSemelError(error)) return error
  assert(error instanceof Error, 'engines reject with errors')
  return new SemelError('ENGINE_FAILED', 'the engine failed in a way it did not explain', {
    outcome: 'unknown',
    cause: error,
  })
}
