import type { ReadResult } from '../engine/engine.ts'
import { storeNames } from '../engine/store-names.ts'
import { isSemelError, SemelError } from '../errors.ts'
import type { StoredEvent } from '../event/event.ts'
import { deadLetterKey, encodeDeadLetter } from '../features/dead-letter-record.ts'
import { limits } from '../limits.ts'
import { channels } from './channels.ts'
import { ClaimSize } from './claim-size.ts'
import { Committer } from './committer.ts'
import { Dispatcher, type DispatcherEvents } from './dispatcher.ts'
import type { EventTransaction } from './event-transaction.ts'
import { Inbox, type Verdict } from './inbox.ts'
import { RoundRobin } from './prepare-call.ts'
import { RedriveLane } from './redrive-lane.ts'
import type { Slot } from './slot.ts'
import { SqlSession } from './sql-session.ts'
import { StateCache, type StateCell } from './state-cache.ts'
import type { TaskContext } from './task-context.ts'
import { type Allowance, eventObjectsBytes, type Holder } from './task-memory.ts'
import type { Wake } from './wake.ts'
import { type OffsetRange, Window } from './window.ts'

/** What a session starts from, loaded from the sink. */
export interface SessionStart {
  /** Stored position; `undefined` if the group never committed here. */
  readonly stored: number | undefined
  /** Offset to begin at. */
  readonly position: number
  readonly finished: readonly OffsetRange[]
  readonly finishedStored: string
  /** Events below were handed out before, as far as is known (L2). */
  readonly redeliveredBelow: number
  readonly redriveNext: number
}

const idlePollMsMax = 500

/**
 * The life of a task from a loaded position to the first failed commit, loss of the lease, or stop.
 *
 * Everything in memory stands on the loaded position. When a commit fails, nobody knows what the rest stands on,
 * so the whole session goes, and the next one loads again: that is the only recovery path there is.
 */
export class TaskSession implements DispatcherEvents, Holder {
  readonly #context: TaskContext
  readonly #wake: Wake
  readonly #window: Window
  readonly #state: StateCache
  readonly #sql: SqlSession
  readonly #committer: Committer
  readonly #dispatcher: Dispatcher
  readonly #redrive: RedriveLane
  readonly #inbox: Inbox | undefined
  readonly #claims = new ClaimSize()
  readonly #abort = new AbortController()
  #failure: { readonly error: unknown } | undefined
  #stopping = false
  /** Why this round is made: new events of ours are known to be there. */
  #isTold = false
  #idlePollMs: number = limits.pollMsMax
  #end = 0
  /** Stores of state that are known to all tasks of the group. */
  #storesNoted = 0
  /** What a read that is under way may bring. */
  #comingBytes = 0
  readonly #loadedPosition: number | undefined

  constructor(context: TaskContext, start: SessionStart, wake: Wake) {
    this.#context = context
    this.#wake = wake
    this.#loadedPosition = start.stored
    const { platform, sink, lease } = context
    const monotonic = (): number => platform.clock.monotonic()
    this.#window = new Window(start.position, start.finished)
    this.#state = new StateCache(sink, lease.task, context.storeNames, () => this.#window.upcomingKeys())
    this.#sql = new SqlSession(sink, lease, this.#abort.signal, monotonic)
    const { inboxWindowMs } = context.settings
    if (inboxWindowMs > 0) this.#inbox = new Inbox(sink, lease.task, inboxWindowMs)
    const parts = { window: this.#window, state: this.#state, sql: this.#sql, inbox: this.#inbox }
    const from = { from: start.stored, finishedStored: start.finishedStored }
    this.#committer = new Committer(context, parts, from, {
      committed: () => this.progressed(),
      failed: (error) => this.failed(error),
    })
    const transactions = {
      group: context.settings.group,
      state: this.#state,
      sql: this.#sql,
      ids: context.ids,
      roundRobin: new RoundRobin(),
      topics: context.emittable,
      now: () => platform.clock.now(),
    }
    this.#dispatcher = new Dispatcher(
      context,
      { transactions, window: this.#window, sql: this.#sql },
      // What is read at most once waits for a claim, and must not be waited for by the unit before it.
      { hasRoom: () => this.#committer.hasRoom, isMoreComing: () => !this.#isClaiming && this.#wantsMore },
      start.redeliveredBelow,
      this,
    )
    this.#redrive = new RedriveLane(context, start.redriveNext, () => wake.ring())
    context.memory.join(this)
  }

  /** What it holds of events that were read. */
  get bytes(): number {
    return this.#window.bytes + this.#comingBytes
  }

  /** Runs until `stop`, or rejects with what ended it. */
  async run(): Promise<void> {
    while (this.#failure === undefined && !this.#stopping) {
      const read = await this.#refill()
      await this.#readRedrives()
      this.#dispatcher.pump()
      this.#committer.poke(this.#dispatcher)
      if (!read) this.#isTold = (await this.#wake.wait(this.#idlePollMs)) === 'here'
    }
    await this.#redrive.idle()
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Starts nothing new; `drained` then resolves when the running handlers are done and committed. */
  stop(): void {
    this.#stopping = true
    this.#dispatcher.stopStarting()
    this.#wake.ring()
  }

  /** Whether a unit of this session was committed. */
  get hasCommitted(): boolean {
    return this.#committer.committed !== this.#loadedPosition
  }

  /** Whether a unit is under way whose outcome this session will not learn once it is abandoned. */
  get isCommitting(): boolean {
    return this.#committer.isCommitting
  }

  get isDrained(): boolean {
    return (
      this.#failure !== undefined ||
      (this.#dispatcher.running === 0 && this.#committer.idle && !this.#sql.busy)
    )
  }

  /** Handlers that still run, also of attempts that no longer count. */
  get unsettled(): number {
    return this.#dispatcher.unsettled
  }

  /** Commits what finished, without waiting for company. */
  flush(): void {
    this.#committer.poke({ busy: false, isUrgent: true })
  }

  /** Ends everything at once. Uncommitted work is gone; the engine has none of it. */
  async abandon(reason: Error): Promise<void> {
    this.#stopping = true
    this.#context.memory.leave(this)
    this.#committer.stop()
    this.#dispatcher.abandon(reason)
    this.#abort.abort(reason)
    await this.#sql.abandon(reason)
    this.#wake.ring()
  }

  succeeded(slot: Slot, tx: EventTransaction): void {
    if (this.#failure !== undefined) return
    this.#committer.add(tx.succeed())
    if (this.#state.stores.size > this.#storesNoted) this.#noteStores()
    if (slot.redrive === undefined) this.#finish(slot)
    else this.#redrive.finished(slot, this.#committer, undefined)
  }

  exhausted(slot: Slot, error: unknown, attempts: number): void {
    const { event } = slot
    if (event === undefined || this.#failure !== undefined) return
    const { lease, counters, platform } = this.#context
    const value = encodeDeadLetter(event, error, attempts, platform.clock.now())
    this.#committer.add([])
    counters.deadLetters++
    if (channels.deadLetter.hasSubscribers) {
      channels.deadLetter.publish({ ...lease.task, offset: slot.offset, attempts, error })
    }
    if (slot.redrive === undefined) {
      this.#committer.setOwnState(storeNames.deadLetters, deadLetterKey(slot.offset), value)
      this.#finish(slot)
    } else this.#redrive.finished(slot, this.#committer, value)
  }

  /** For the tasks that come after it. */
  #noteStores(): void {
    for (const name of this.#state.stores.keys()) this.#context.storeNames.add(name)
    this.#storesNoted = this.#state.stores.size
  }

  #finish(slot: Slot): void {
    this.#inbox?.finished(slot)
    this.#window.finish(slot)
  }

  progressed(): void {
    this.#committer.poke(
      this.#stopping
        ? { busy: this.#dispatcher.running > 0, isUrgent: this.#dispatcher.running === 0 }
        : this.#dispatcher,
    )
    if (this.#wantsMore || this.#stopping) this.#wake.ring()
    else if (this.#dispatcher.running === 0) this.#dispatcher.pump()
  }

  failed(error: unknown): void {
    this.#failure ??= { error }
    this.#wake.ring()
  }

  async reread(slot: Slot): Promise<StoredEvent> {
    const { event: last, copy } = slot
    if (last !== undefined && copy !== undefined) return { ...last, data: copy() }
    if (slot.redrive !== undefined) return await this.#redrive.reread(slot)
    const { topic, partition } = this.#context.lease.task
    const request = { topic, partition, offset: slot.offset, maxEvents: 1, maxBytes: limits.readBytesMax }
    const { events } = await this.#context.source.read(request)
    const event = events[0]
    if (event === undefined)
      throw new SemelError('NOT_FOUND', `event ${slot.offset} of ${topic}/${partition} is gone`)
    return event
  }

  get #wantsMore(): boolean {
    const { settings, memory } = this.#context
    return (
      this.#window.ready < this.#readEventsMax / 2 &&
      this.#window.size < settings.windowEvents &&
      memory.hasRoom(this) &&
      this.#end > this.#window.nextRead
    )
  }

  /** Reads ahead, if there is room. Answers whether there may be more at once. */
  async #refill(): Promise<boolean> {
    const allowance = this.#allowance()
    if (allowance === undefined) return false
    this.#claims.begun(this.#context.platform.clock.monotonic())
    this.#comingBytes = allowance.bytes + allowance.events * eventObjectsBytes
    try {
      return await this.#readOn(allowance)
    } finally {
      this.#comingBytes = 0
    }
  }

  async #readOn({ events: maxEvents, bytes: maxBytes }: Allowance): Promise<boolean> {
    const { source, lease } = this.#context
    const { topic, partition } = lease.task
    const offset = this.#window.nextRead
    const isTold = this.#isTold
    const result = await source.read({ topic, partition, offset, maxEvents, maxBytes, isTold })
    this.#end = result.end
    if (result.next === offset) {
      this.#idlePollMs = Math.min(idlePollMsMax, this.#idlePollMs * 2)
      return false
    }
    this.#idlePollMs = limits.pollMsMax
    if (this.#isClaiming && !(await this.#claim(result))) return false
    const verdicts = await this.#inbox?.judge(result.events)
    const cells = await this.#locateState(result.events)
    this.#comingBytes = 0
    this.#admit(result, verdicts, cells)
    return this.#wantsMore
  }

  get #readEventsMax(): number {
    return this.#context.source.facts.taskReadEventsMax ?? limits.readEventsMax
  }

  get #isClaiming(): boolean {
    return this.#context.settings.guarantee === 'at-most-once'
  }

  /** How much may be read now: the bounds of the window, of a read, and of what the tasks of the bus may hold. */
  #allowance(): Allowance | undefined {
    const { settings, memory } = this.#context
    const room = settings.windowEvents - this.#window.size
    if (this.#window.ready >= this.#readEventsMax / 2 || room <= 0) return undefined
    if (this.#isClaiming && this.#window.ready > 0) return undefined
    const allowance = memory.allowance(this)
    if (allowance === undefined) return undefined
    const eventsMax = this.#isClaiming ? this.#claims.events : this.#readEventsMax
    return {
      events: Math.min(room, eventsMax, allowance.events),
      bytes: Math.min(limits.readBytesMax, allowance.bytes),
    }
  }

  #admit(
    result: ReadResult,
    verdicts: ReadonlyMap<number, Verdict> | undefined,
    cells: readonly (StateCell | undefined)[] | undefined,
  ): void {
    const conflicts = this.#window.add(result, verdicts, cells)
    this.#context.counters.duplicates += (verdicts?.size ?? 0) - conflicts.length
    for (const slot of conflicts) {
      const { topic, partition } = this.#context.lease.task
      const reason = `${topic}/${partition} holds another event of the id ${JSON.stringify(slot.id)}`
      this.exhausted(slot, new SemelError('ID_CONFLICT', reason), 0)
    }
  }

  /** At-most-once: waits until the position past these events is durable. Only then may a handler see them. */
  async #claim({ next, events }: ReadResult): Promise<boolean> {
    const { clock } = this.#context.platform
    const askedMs = clock.monotonic()
    this.#committer.claim(next, events.at(-1), { busy: false })
    while (this.#committer.committed !== next) {
      if (this.#failure !== undefined || this.#stopping) return false
      await this.#wake.wait(limits.pollMsMax)
    }
    this.#claims.granted(events.length, askedMs, clock.monotonic())
    return true
  }

  /** Brings the state of the events' keys into memory. Answers where that of one store is: most groups have one. */
  async #locateState(
    events: readonly StoredEvent[],
  ): Promise<readonly (StateCell | undefined)[] | undefined> {
    let cells: readonly (StateCell | undefined)[] | undefined
    for (const store of this.#context.storeNames) cells = await this.#state.locate(store, events)
    return cells
  }

  /** Commits what is staged, and waits until it is durable. */
  async #untilCommitted(): Promise<boolean> {
    while (!this.#committer.idle) {
      if (this.#failure !== undefined || this.#stopping) return false
      this.#committer.poke({ busy: false, isUrgent: true })
      await this.#wake.wait(limits.pollMsMax)
    }
    return this.#failure === undefined
  }

  async #readRedrives(): Promise<void> {
    const slot = await this.#redrive.next(this.#committer)
    if (slot === undefined) return
    if (this.#context.settings.guarantee === 'at-most-once' && !(await this.#untilCommitted())) return
    this.#dispatcher.admit(slot)
  }
}

/** Whether the lease is gone, so that there is nothing to try again. */
export function isFenced(error: unknown): boolean {
  return isSemelError(error) && error.code === 'FENCED'
}
