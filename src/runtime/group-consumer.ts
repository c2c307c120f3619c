import type { Engine, Lease, Membership, OwnershipListener, Place } from '../engine/engine.ts'
import { isSemelError } from '../errors.ts'
import type { GroupSetting } from '../features/guarantees/clause.ts'
import { redriveTopicName } from '../features/redrive-command.ts'
import { limits } from '../limits.ts'
import { checkOptionNames, requireOptions, wholeNumber } from '../options.ts'
import { sleep } from '../platform/wait.ts'
import { channels } from './channels.ts'
import { retryDelayMs } from './retry-policy.ts'
import { Task } from './task.ts'
import type { GroupContext } from './task-context.ts'

const joinPolicy = { attempts: 1, baseDelayMs: 50, maxDelayMs: 5_000, onExhausted: 'block' } as const

export interface StopOptions {
  /** How long running handlers may take to finish. Default 30 s; 0 abandons them at once. */
  readonly deadlineMs?: number | undefined
}

/** A running member of a consumer group. */
export interface Consumer extends AsyncDisposable {
  readonly group: string
  /** Resolves when this member has joined the group. It may own no partition yet. */
  ready(): Promise<void>
  /** Takes no new events, finishes running ones, commits, hands its partitions over. Twice is fine. */
  stop(options?: StopOptions): Promise<void>
  /** The partitions this member owns now, and what ails them. */
  tasks(): readonly OwnedTask[]
  /**
   * Why this member cannot join, or cannot renew its leases, if so. It keeps trying; but after LOG_REGRESSED, storage
   * has lost what this process knows to be committed, and only a new process takes it as it is (D6).
   */
  readonly error: Error | undefined
}

export interface OwnedTask {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  /** Set while the task cannot go on, e.g. LOG_REGRESSED; it keeps trying. */
  readonly error: Error | undefined
}

/** One process's part of a group: joins, runs a task for every lease it is given, and leaves. */
export class GroupConsumer implements Consumer, OwnershipListener {
  readonly #context: GroupContext
  readonly #topicNames: readonly string[]
  readonly #tasks = new Map<string, Task>()
  readonly #onStopped: () => void
  #membership: Promise<Membership> | undefined
  #error: Error | undefined
  #stopped: Promise<void> | undefined
  #stopDeadlineMs: number = limits.stopDeadlineMsDefault
  #unlisten: (() => void) | undefined

  constructor(context: GroupContext, topicNames: readonly string[], onStopped: () => void) {
    this.#context = context
    this.#topicNames = topicNames
    this.#onStopped = onStopped
  }

  get group(): string {
    return this.#context.settings.group
  }

  /** What this group chose, as far as its guarantees depend on it. */
  get promised(): GroupSetting {
    const { group, guarantee, retry } = this.#context.settings
    return { group, guarantee, onExhausted: retry.onExhausted }
  }

  /** Whether this member takes events of one of these topics for this group. A process does so once. */
  takes(group: string, source: Engine, topicNames: readonly string[]): boolean {
    const isOfGroup = group === this.group && source === this.#context.source
    return isOfGroup && topicNames.some((name) => this.#topicNames.includes(name))
  }

  start(): void {
    this.#membership = this.#join()
    // A failed join is reported by ready() and stop(); it must not end the process before anybody asks.
    this.#membership.catch((error: unknown) => {
      this.#error = error instanceof Error ? error : new Error(String(error))
    })
  }

  async ready(): Promise<void> {
    await this.#membership
  }

  tasks(): readonly OwnedTask[] {
    const owned = [...this.#tasks.values()].filter(({ isGivenBack }) => !isGivenBack)
    return owned.map(({ lease, lastError }) => ({
      topic: lease.task.topic,
      partition: lease.task.partition,
      epoch: lease.epoch,
      error: lastError,
    }))
  }

  get error(): Error | undefined {
    return this.#error
  }

  troubled(error: Error | undefined): void {
    this.#error = error
  }

  assigned(leases: readonly Lease[]): void {
    for (const lease of leases) {
      note(lease, 'assigned')
      const before = this.#tasks.get(taskName(lease))
      const task = new Task(this.#context, lease, (own) => this.#giveBack(own), before)
      this.#tasks.set(taskName(lease), task)
      task.start()
    }
  }

  async revoked(leases: readonly Lease[], reason: 'handover' | 'lost'): Promise<void> {
    await Promise.all(leases.map((lease) => this.#revokeOne(lease, reason)))
  }

  async stop(options?: StopOptions): Promise<void> {
    this.#stopDeadlineMs = Math.min(this.#stopDeadlineMs, resolveStop(options))
    this.#stopped ??= this.#stop()
    await this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Joining may meet a busy or absent database: what may pass is tried again until it passes or we are stopped. */
  async #join(): Promise<Membership> {
    const { platform } = this.#context
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#joinOnce()
      } catch (error) {
        if (this.#stopped !== undefined || !isSemelError(error) || !error.retryable) throw error
        this.#unlisten?.()
        await sleep(platform, retryDelayMs(joinPolicy, Math.min(attempt, 10), platform.random))
      }
    }
  }

  async #joinOnce(): Promise<Membership> {
    const { sink, source, settings, topics, counters } = this.#context
    await sink.declareTopics([{ name: redriveTopicName(settings.group), partitions: 1, dedupWindowMs: 0 }])
    this.#unlisten = source.onAppend((places) => this.#ring(places))
    const joined = this.#topicNames.map((name) => ({ topic: name, partitions: topics.get(name)!.partitions }))
    return await sink.join(
      { group: settings.group, topics: joined, leaseMs: settings.leaseMs, report: () => counters.report() },
      this,
    )
  }

  /** Wakes the tasks that may have new events or a command to redrive. */
  #ring(places: readonly Place[] | undefined): void {
    const redrives = redriveTopicName(this.group)
    const isAnywhere = places === undefined || places.some(({ topic }) => topic === redrives)
    const names = isAnywhere ? this.#tasks.keys() : places.map(placeName)
    for (const name of names) this.#tasks.get(name)?.ring(isAnywhere ? 'anywhere' : 'here')
  }

  #giveBack(lease: Lease): void {
    // Whoever is assigned a lease has joined.
    void this.#membership?.then((membership) => membership.giveBack(lease))
  }

  async #revokeOne(lease: Lease, reason: 'handover' | 'lost'): Promise<void> {
    const task = this.#tasks.get(taskName(lease))
    if (task === undefined || task.lease.epoch !== lease.epoch) return
    note(lease, reason)
    if (reason === 'lost') await task.lose()
    else await task.handOver(this.#stopDeadlineMs)
    if (this.#tasks.get(taskName(lease)) === task) this.#tasks.delete(taskName(lease))
  }

  async #stop(): Promise<void> {
    try {
      const membership = await this.#membership
      await membership?.leave()
    } finally {
      this.#unlisten?.()
      this.#onStopped()
    }
  }
}

/** The deadline in milliseconds, or what is wrong with the options. */
export function resolveStop(options: StopOptions | undefined): number {
  const given = requireOptions('stop', options)
  checkOptionNames('stop', given, ['deadlineMs'])
  return wholeNumber('deadlineMs', given.deadlineMs, {
    min: 0,
    max: limits.waitMsMax,
    fallback: limits.stopDeadlineMsDefault,
  })
}

function taskName({ task }: Lease): string {
  return placeName(task)
}

function placeName({ topic, partition }: Place): string {
  return `${topic}/${partition}`
}

function note(lease: Lease, change: 'assigned' | 'handover' | 'lost'): void {
  if (channels.ownership.hasSubscribers)
    channels.ownership.publish({ ...lease.task, epoch: lease.epoch, change })
}
