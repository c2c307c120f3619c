import type { Lease } from '../engine/engine.ts'
import { isHarmless, SemelError } from '../errors.ts'
import { channels } from './channels.ts'
import { loadStart } from './load-start.ts'
import { retryDelayMs } from './retry-policy.ts'
import type { GroupContext, TaskContext } from './task-context.ts'
import { isFenced, TaskSession } from './task-session.ts'
import { type RingCause, Wake } from './wake.ts'

const reloadPolicy = { attempts: 1, baseDelayMs: 10, maxDelayMs: 5_000, onExhausted: 'block' } as const
const drainPollMs = 20

/**
 * One partition of one group, while this process holds its lease.
 *
 *  LOADING -> RUNNING   position and memory loaded from the sink
 *  RUNNING -> LOADING   a unit did not commit, or reading failed: everything in memory is dropped
 *  RUNNING -> ENDED     nobody knows whether the last unit happened: the lease is given back, and a task with a
 *                       higher epoch goes on, which fences the unit if it is still under way
 *  RUNNING -> DRAINING  the task is handed over: finish, commit, then ENDED
 *  any     -> ENDED     the lease is lost (FENCED): stop at once
 */
export class Task {
  readonly #context: TaskContext
  readonly #wake: Wake
  #session: TaskSession | undefined
  #stopping = false
  #ended: Promise<void> = Promise.resolve()
  #lastError: Error | undefined
  #reloads: number
  readonly #giveBack: (lease: Lease) => void
  #isGivenBack = false

  /** `before`: the task whose lease was given back for this one, so that failures in a row are counted on. */
  constructor(
    group: GroupContext,
    lease: Lease,
    giveBack: (lease: Lease) => void,
    before: Task | undefined = undefined,
  ) {
    this.#context = { ...group, lease }
    this.#wake = new Wake(group.platform)
    this.#giveBack = giveBack
    this.#reloads = before?.isGivenBack === true ? before.#reloads : 0
  }

  /** Whether this task has ended because it wants a higher epoch. */
  get isGivenBack(): boolean {
    return this.#isGivenBack
  }

  get lease(): Lease {
    return this.#context.lease
  }

  /** Why the task is not running at the moment, if it is not. */
  get lastError(): Error | undefined {
    return this.#lastError
  }

  start(): void {
    this.#ended = this.#run()
  }

  /** New events may be there. */
  ring(cause: RingCause): void {
    this.#wake.ring(cause)
  }

  /** Finishes and commits what is running, at most until `deadlineMs` have passed; then abandons it. */
  async handOver(deadlineMs: number): Promise<void> {
    const { clock } = this.#context.platform
    const due = clock.monotonic() + deadlineMs
    this.#stopping = true
    this.#session?.stop()
    this.#wake.ring()
    while (this.#session !== undefined && !this.#session.isDrained && clock.monotonic() < due) {
      this.#session.flush()
      await this.#pause(Math.min(drainPollMs, Math.max(1, due - clock.monotonic())))
    }
    await this.#end(new SemelError('ABORTED', 'the consumer was stopped before the handler finished'))
  }

  /** The lease is gone: nothing of this task can commit any more. */
  async lose(): Promise<void> {
    this.#stopping = true
    await this.#end(new SemelError('FENCED', 'another member has taken this task'))
  }

  async #end(reason: Error): Promise<void> {
    this.#stopping = true
    await this.#session?.abandon(reason)
    this.#wake.ring()
    await this.#ended
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#runSession()
      } catch (error) {
        await this.#afterFailure(error)
      }
    }
  }

  async #runSession(): Promise<void> {
    const start = await loadStart(this.#context)
    if (this.#stopping) return
    this.#session = new TaskSession(this.#context, start, this.#wake)
    this.#lastError = undefined
    await this.#session.run()
  }

  async #afterFailure(error: unknown): Promise<void> {
    const { counters, lease, platform } = this.#context
    const failure = error instanceof Error ? error : new Error(String(error))
    const session = this.#session
    this.#lastError = failure
    const isUnknown = session?.isCommitting === true || !isHarmless(error)
    await session?.abandon(failure)
    if (isFenced(error)) {
      counters.fenced++
      this.#stopping = true
      return
    }
    counters.resets++
    if (channels.reset.hasSubscribers)
      channels.reset.publish({ ...lease.task, epoch: lease.epoch, error: failure })
    if (session !== undefined) await this.#untilHandlersReturned(session)
    this.#session = undefined
    // A session that got something done shows that storage works: the next wait is a short one again.
    this.#reloads = session?.hasCommitted === true ? 1 : this.#reloads + 1
    await this.#pause(retryDelayMs(reloadPolicy, Math.min(this.#reloads, 10), platform.random))
    if (this.#stopping || !isUnknown) return
    this.#stopping = true
    this.#isGivenBack = true
    this.#giveBack(lease)
  }

  /** Two events of one key never run at once, so abandoned handlers get the time they would have had. */
  async #untilHandlersReturned(session: TaskSession): Promise<void> {
    const { platform, settings } = this.#context
    const due = platform.clock.monotonic() + settings.handlerTimeoutMs
    while (session.unsettled > 0 && !this.#stopping && platform.clock.monotonic() < due)
      await this.#pause(drainPollMs)
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#context.platform.timers.after(ms, resolve)
    })
  }
}
