import type { MemberReport, TaskId } from './engine.ts'

/**
 * The few atomic steps that an engine with `ownership: 'lease-table'` gives the shared balancer
 * (`engine/lease-balancer.ts`). All times are the engine's own clock; members' clocks are never compared.
 */
export interface LeaseTable {
  /**
   * In one step: tells that `member` lives until `leaseMs` from now, extends every lease it holds in the group by
   * the same, forgets members that are silent for longer than their own lease, and answers the whole view.
   */
  heartbeat(group: string, member: string, leaseMs: number, report: MemberReport): Promise<GroupView>

  /**
   * Takes a task that nobody holds or whose lease ran out, if its epoch is still `observedEpoch` (0 if the task
   * was never held). Answers the new epoch, `observedEpoch + 1`, or `undefined` if somebody was faster.
   */
  acquire(task: TaskId, member: string, leaseMs: number, observedEpoch: number): Promise<number | undefined>

  /** Frees a task if `epoch` is still its epoch; the epoch itself stays. */
  release(task: TaskId, epoch: number): Promise<void>

  /** Forgets a member. Its leases were released before. */
  leave(group: string, member: string): Promise<void>
}

export interface GroupView {
  /** Live members, sorted by name, the caller included. */
  readonly members: readonly string[]
  readonly leases: readonly LeaseRow[]
}

export interface LeaseRow {
  readonly task: TaskId
  readonly epoch: number
  /** Holder whose lease has not run out; `undefined` if the task is free to take. */
  readonly owner: string | undefined
}
