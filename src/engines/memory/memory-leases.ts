import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView, LeaseRow, LeaseTable } from '../../engine/lease-table.ts'
import type { MemberStatus } from '../../engine/status.ts'
import type { SemelError } from '../../errors.ts'
import type { Clock } from '../../platform/platform.ts'

interface LeaseEntry {
  readonly task: TaskId
  epoch: number
  owner: string | undefined
  /** On the table's clock. */
  until: number
}

interface MemberEntry {
  readonly group: string
  readonly member: string
  readonly seenAt: number
  readonly until: number
  readonly report: MemberReport
}

/** The lease table: who lives, who holds what until when, and the epochs, which only grow (Z1). */
export class MemoryLeases implements LeaseTable {
  readonly #leases = new Map<string, LeaseEntry>()
  readonly #members = new Map<string, MemberEntry>()
  readonly #obstacle: (topic: string) => SemelError | undefined
  #clock: Clock | undefined

  /** `obstacle`: why no task of a topic may be granted, if so. */
  constructor(obstacle: (topic: string) => SemelError | undefined = () => undefined) {
    this.#obstacle = obstacle
  }

  useClock(clock: Clock): void {
    this.#clock = clock
  }

  async heartbeat(group: string, member: string, leaseMs: number, report: MemberReport): Promise<GroupView> {
    const now = this.#now()
    const until = now + leaseMs
    this.#members.set(memberName(group, member), { group, member, seenAt: now, until, report })
    for (const lease of this.#leases.values()) {
      if (lease.task.group === group && this.#ownerOf(lease) === member) lease.until = until
    }
    this.#forgetSilent()
    return {
      members: this.#liveMembers(group),
      leases: this.rows().filter(({ task }) => task.group === group),
    }
  }

  async acquire(
    task: TaskId,
    member: string,
    leaseMs: number,
    observedEpoch: number,
  ): Promise<number | undefined> {
    const obstacle = this.#obstacle(task.topic)
    if (obstacle !== undefined) throw obstacle
    const name = leaseName(task)
    const lease = this.#leases.get(name) ?? { task: { ...task }, epoch: 0, owner: undefined, until: 0 }
    if (lease.epoch !== observedEpoch || this.#ownerOf(lease) !== undefined) return undefined
    lease.epoch += 1
    lease.owner = member
    lease.until = this.#now() + leaseMs
    this.#leases.set(name, lease)
    return lease.epoch
  }

  async release(task: TaskId, epoch: number): Promise<void> {
    const lease = this.#leases.get(leaseName(task))
    if (lease?.epoch === epoch) lease.owner = undefined
  }

  async leave(group: string, member: string): Promise<void> {
    this.#members.delete(memberName(group, member))
  }

  /** All owners of the topic's tasks have lost them. */
  fence(topic: string): void {
    for (const lease of this.#leases.values()) {
      if (lease.task.topic !== topic) continue
      lease.epoch += 1
      lease.owner = undefined
    }
  }

  /** 0 if the task was never held. */
  epochOf(task: TaskId): number {
    return this.#leases.get(leaseName(task))?.epoch ?? 0
  }

  rows(): readonly LeaseRow[] {
    return [...this.#leases.values()].map((lease) => {
      return { task: lease.task, epoch: lease.epoch, owner: this.#ownerOf(lease) }
    })
  }

  members(): readonly MemberStatus[] {
    this.#forgetSilent()
    return [...this.#members.values()].map(({ group, member, report, seenAt }) => {
      return { group, member, report, silentMs: this.#now() - seenAt }
    })
  }

  #ownerOf(lease: LeaseEntry): string | undefined {
    return lease.until > this.#now() ? lease.owner : undefined
  }

  #liveMembers(group: string): readonly string[] {
    return [...this.#members.values()]
      .filter((entry) => entry.group === group)
      .map(({ member }) => member)
      .sort()
  }

  #forgetSilent(): void {
    for (const [name, { until }] of this.#members) if (until <= this.#now()) this.#members.delete(name)
  }

  #now(): number {
    return this.#clock?.monotonic() ?? 0
  }
}

function leaseName({ group, topic, partition }: TaskId): string {
  return `${group}\u0000${topic}\u0000${partition}`
}

function memberName(group: string, member: string): string {
  return `${group}\u0000${member}`
}
