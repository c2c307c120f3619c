import { assert, isSemelError, SemelError } from '../errors.ts'
import type { Platform, Timer } from '../platform/platform.ts'
import { orLate, sleep } from '../platform/wait.ts'
import type { JoinRequest, Lease, Membership, OwnershipListener, TaskId } from './engine.ts'
import { type Balance, planBalance } from './lease-plan.ts'
import type { GroupView, LeaseRow, LeaseTable } from './lease-table.ts'

const beatsPerLease = 3
/** While tasks are free or unevenly spread, so that a new member has its share after one or two beats. */
const hurriedBeatsPerLease = 10
/** No call to the table may use up so much of a lease that the next renewal comes late. */
const callsPerLease = 4
const heartbeatHint =
  'a member gets no tasks while a heartbeat takes longer than a quarter of leaseMs: give the group a longer lease'
const acquiresAtOnceMax = 16
/** An owner that has not let go by then is told that it lost; its commits are fenced from the next owner on (Z1). */
const handoverMsMax = 60_000
/** Members of a rolling deployment may not know all topics: others serve what nobody takes, for this long. */
const adoptionLeases = 30

export interface LeaseBalancerOptions {
  readonly table: LeaseTable
  readonly platform: Platform
  /** Unique among all members of the group that are alive. */
  readonly member: string
  readonly request: JoinRequest
  readonly listener: OwnershipListener
}

interface Holding {
  readonly lease: Lease
  handover: boolean
}

/**
 * Spreads the tasks of a group over its members, for every engine that has a lease table.
 *
 * Each member decides alone, from the view its heartbeat brought. For one member, a task is AWAY, HELD or HANDOVER:
 *
 *  AWAY     -> HELD      it is free, or its lease ran out, we have fewer than our quota, and `acquire` wins.
 *                        The epoch goes up by one; `assigned` is called.
 *  HELD     -> HANDOVER  we hold more than our quota, or `leave` was called. `revoked('handover')` is called and the
 *                        lease is renewed until the owner has finished.
 *  HANDOVER -> AWAY      the owner finished; the lease is released. An owner that takes too long is told 'lost' first.
 *  HELD     -> AWAY      `giveBack`: the owner wants another epoch. Without a word to the listener, who asked for it.
 *  HELD, HANDOVER -> AWAY  with `revoked('lost')`: the table says that somebody else has it, or our renewal is late by
 *                        our own monotonic clock. We stop at once: being wrongly idle is cheap, two writers are not.
 *
 * The lease counts from the *start* of the heartbeat that renewed it, so we always give up before the table does.
 * The table's clock decides who may take a task; ours only decides when to stop trusting a lease. Neither decides
 * a commit: that is the epoch's office (Z1). Failed heartbeats are nothing until a lease is late (V2).
 *
 * A row that says we own what we do not hold is left over from a lost answer or an earlier process of our name. It is
 * released and then taken with a new epoch like any free task.
 */
export class LeaseBalancer implements Membership {
  readonly #table: LeaseTable
  readonly #platform: Platform
  readonly #member: string
  readonly #request: JoinRequest
  readonly #listener: OwnershipListener
  readonly #tasks: readonly TaskId[]
  readonly #callMs: number

  readonly #held = new Map<string, Holding>()
  /** Handovers and releases under way. */
  readonly #pending = new Set<Promise<void>>()
  /** When we first saw a task free, and when we took one beyond our quota because nobody else did. */
  readonly #freeSince = new Map<string, number>()
  readonly #adoptedAt = new Map<string, number>()
  readonly #stop = new AbortController()
  #members = ''
  #beatAt = 0
  #renewedAt = Number.NEGATIVE_INFINITY
  #lateness: Timer | undefined
  /** Ends the pause before the next beat. */
  #rest = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  #left: Promise<void> | undefined
  #moved: SemelError | undefined

  private constructor({ table, platform, member, request, listener }: LeaseBalancerOptions) {
    this.#table = table
    this.#platform = platform
    this.#member = member
    this.#request = request
    this.#listener = listener
    this.#callMs = request.leaseMs / callsPerLease
    this.#tasks = request.topics.flatMap(({ topic, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ group: request.group, topic, partition })),
    )
  }

  /** Joins the group; rejects if even the first heartbeat fails. Tasks are assigned soon after. */
  static async join(options: LeaseBalancerOptions): Promise<LeaseBalancer> {
    const balancer = new LeaseBalancer(options)
    try {
      const view = await balancer.#heartbeat(options.request.leaseMs)
      balancer.#loop = balancer.#run(view)
      return balancer
    } catch (cause) {
      balancer.#stop.abort()
      balancer.#lateness?.cancel()
      throw cause
    }
  }

  /** Renewals go on until the last owner has finished. Never rejects: what cannot be released runs out. */
  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  /** The next beat comes at once, so that the task is taken again soon. */
  giveBack(lease: Lease): void {
    const holding = this.#held.get(nameOf(lease.task))
    if (holding?.lease.epoch !== lease.epoch || holding.handover) return
    this.#forget(holding)
    this.#track(this.#release(lease).then(() => this.#rest.abort()))
  }

  async #leave(): Promise<void> {
    for (const holding of this.#held.values()) this.#startHandover(holding)
    await this.#allSettled()
    this.#stop.abort()
    await this.#loop
    await this.#allSettled()
    this.#lateness?.cancel()
    await this.#quietly(() => this.#table.leave(this.#request.group, this.#member))
  }

  async #allSettled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  async #run(first: GroupView): Promise<void> {
    const { leaseMs } = this.#request
    let view: GroupView | undefined = first
    while (!this.#stop.signal.aborted) {
      const balanced = view !== undefined && (await this.#settle(view))
      const pauseMs = leaseMs / (balanced ? beatsPerLease : hurriedBeatsPerLease)
      const until = this.#beatAt + pauseMs
      await this.#pause(Math.max(0, until - this.#platform.clock.monotonic()))
      view = this.#stop.signal.aborted
        ? undefined
        : await this.#heartbeat(this.#callMs).catch((error: Error) => void this.#trouble(error))
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#rest = new AbortController()
    const signal = AbortSignal.any([this.#stop.signal, this.#rest.signal])
    await sleep(this.#platform, ms, signal).catch(() => undefined)
  }

  /** An answer that comes too late for this beat still renews the leases; its view is too old to act upon. */
  async #heartbeat(deadlineMs: number): Promise<GroupView> {
    const { group, leaseMs, report } = this.#request
    const startedAt = this.#platform.clock.monotonic()
    this.#beatAt = startedAt
    const answer = this.#table.heartbeat(group, this.#member, leaseMs, report())
    answer.then(
      () => this.#renewed(startedAt),
      (error: unknown) => this.#trouble(error instanceof Error ? error : new Error(String(error))),
    )
    return await this.#bounded(answer, deadlineMs, heartbeatHint)
  }

  #trouble(error: Error | undefined): void {
    if (!this.#stop.signal.aborted) this.#listener.troubled?.(error)
  }

  #renewed(startedAt: number): void {
    if (startedAt <= this.#renewedAt || this.#stop.signal.aborted) return
    this.#renewedAt = startedAt
    // One that came late gives no tasks, which without a word would look as if there was nothing to do.
    if (this.#platform.clock.monotonic() - startedAt <= this.#callMs) this.#trouble(this.#moved)
    this.#lateness?.cancel()
    const leftMs = this.#renewedAt + this.#request.leaseMs - this.#platform.clock.monotonic()
    this.#lateness = this.#platform.timers.after(Math.max(0, leftMs), () =>
      this.#lose([...this.#held.values()]),
    )
  }

  /** Acts upon a view. Answers whether all is as it should be, so that the next beat can take its time. */
  async #settle(view: GroupView): Promise<boolean> {
    const rows = new Map(view.leases.map((row) => [nameOf(row.task), row]))
    this.#lose(
      [...this.#held.values()].filter(({ lease }) => !this.#confirms(rows.get(nameOf(lease.task)), lease)),
    )
    if (this.#left !== undefined) return true
    const balance = this.#plan(view, rows)
    for (const lease of balance.surplus) this.#startHandover(this.#held.get(nameOf(lease.task))!)
    await Promise.all(balance.leftovers.map((row) => this.#release({ task: row.task, epoch: row.epoch })))
    await this.#acquire([...balance.wanted, ...balance.neglected])
    for (const { task } of balance.neglected) {
      if (this.#held.has(nameOf(task))) this.#adoptedAt.set(nameOf(task), this.#platform.clock.monotonic())
    }
    return balance.balanced
  }

  #confirms(row: LeaseRow | undefined, lease: Lease): boolean {
    return row?.owner === this.#member && row.epoch === lease.epoch
  }

  #plan(view: GroupView, rows: ReadonlyMap<string, LeaseRow>): Balance {
    const now = this.#platform.clock.monotonic()
    const { leaseMs } = this.#request
    this.#noteMembers(view)
    const all = this.#tasks.map((task) => rows.get(nameOf(task)) ?? { task, epoch: 0, owner: undefined })
    for (const { task, owner } of all) {
      const name = nameOf(task)
      if (owner !== undefined) this.#freeSince.delete(name)
      else if (!this.#freeSince.has(name)) this.#freeSince.set(name, now)
    }
    return planBalance({
      member: this.#member,
      members: view.members,
      rows: all,
      held: (task) => this.#held.has(nameOf(task)),
      leaving: (task) => this.#held.get(nameOf(task))?.handover === true,
      adopted: (task) => now - (this.#adoptedAt.get(nameOf(task)) ?? -Infinity) < adoptionLeases * leaseMs,
      neglected: (task) => now - (this.#freeSince.get(nameOf(task)) ?? now) >= leaseMs,
    })
  }

  /** Whoever comes or goes changes every quota: all count anew what is free and what was adopted. */
  #noteMembers({ members }: GroupView): void {
    const names = members.join('\n')
    if (names === this.#members) return
    this.#members = names
    this.#freeSince.clear()
    this.#adoptedAt.clear()
  }

  async #acquire(rows: readonly LeaseRow[]): Promise<void> {
    const { clock } = this.#platform
    const until = clock.monotonic() + this.#callMs
    for (let first = 0; first < rows.length && clock.monotonic() < until; first += acquiresAtOnceMax) {
      if (this.#left !== undefined) return
      const answers = await Promise.all(
        rows.slice(first, first + acquiresAtOnceMax).map((row) => this.#take(row)),
      )
      this.#assign(answers.filter((lease) => lease !== undefined))
    }
  }

  async #take({ task, epoch }: LeaseRow): Promise<Lease | undefined> {
    const { leaseMs } = this.#request
    const granted = await this.#quietly(() =>
      this.#table.acquire(task, this.#member, leaseMs, epoch).catch((error: unknown) => {
        this.#noteMoved(error)
        throw error
      }),
    )
    if (granted === undefined) return undefined
    assert(granted === epoch + 1, 'an epoch grows by one at each change of owner')
    return { task, epoch: granted }
  }

  /** Tasks of a topic that is on another engine now will never be free: that must not look as if there was nothing to do. */
  #noteMoved(error: unknown): void {
    if (!isSemelError(error) || error.code !== 'TOPIC_MOVED' || error.retryable) return
    this.#moved = error
    this.#trouble(error)
  }

  #assign(leases: readonly Lease[]): void {
    if (leases.length === 0) return
    const late = this.#platform.clock.monotonic() >= this.#renewedAt + this.#request.leaseMs
    if (late || this.#left !== undefined) {
      for (const lease of leases) this.#track(this.#release(lease))
      return
    }
    for (const lease of leases) this.#held.set(nameOf(lease.task), { lease, handover: false })
    this.#listener.assigned(leases)
  }

  #startHandover(holding: Holding): void {
    if (holding.handover) return
    holding.handover = true
    this.#track(this.#handOver(holding))
  }

  /** One lease at a time, so that a slow owner does not keep back what its neighbours have finished. */
  async #handOver(holding: Holding): Promise<void> {
    try {
      await this.#bounded(this.#listener.revoked([holding.lease], 'handover'), handoverMsMax)
    } catch {
      this.#lose([holding])
    }
    this.#forget(holding)
    await this.#release(holding.lease)
  }

  #lose(holdings: readonly Holding[]): void {
    const lost = holdings.filter((holding) => this.#forget(holding)).map(({ lease }) => lease)
    if (lost.length === 0) return
    const stopped = this.#bounded(this.#listener.revoked(lost, 'lost'), handoverMsMax)
    this.#track(stopped.catch(() => undefined))
  }

  #forget(holding: Holding): boolean {
    const name = nameOf(holding.lease.task)
    return this.#held.get(name) === holding && this.#held.delete(name)
  }

  async #release({ task, epoch }: Lease): Promise<void> {
    await this.#quietly(() => this.#table.release(task, epoch))
  }

  #track(work: Promise<void>): void {
    this.#pending.add(work)
    void work.finally(() => this.#pending.delete(work))
  }

  /** A call whose failure or silence the next heartbeat shows anyway. */
  async #quietly<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#bounded(call(), this.#callMs)
    } catch {
      return undefined
    }
  }

  async #bounded<T>(work: Promise<T>, deadlineMs: number, hint?: string): Promise<T> {
    return await orLate(this.#platform, work, deadlineMs, () => {
      return new SemelError('DEADLINE_EXCEEDED', `no answer within ${deadlineMs} ms`, {
        retryable: true,
        outcome: 'unknown',
        limit: deadlineMs,
        hint,
      })
    })
  }
}

function nameOf(task: TaskId): string {
  return `${task.topic}/${task.partition}`
}
