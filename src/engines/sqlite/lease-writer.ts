import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView } from '../../engine/lease-table.ts'

/**
 * The lease table (`engine/lease-table.ts`), written inside the writer's transaction. All processes are on one
 * machine, so its wall clock decides who may take a task; the epoch decides who may commit (Z1).
 */
export class LeaseWriter {
  readonly #upsertMember: StatementSync
  readonly #extendLeases: StatementSync
  readonly #forgetMembers: StatementSync
  readonly #members: StatementSync
  readonly #leases: StatementSync
  readonly #createTask: StatementSync
  readonly #acquire: StatementSync
  readonly #release: StatementSync
  readonly #leave: StatementSync

  constructor(database: DatabaseSync) {
    this.#upsertMember = database.prepare('insert or replace into semel_member values (?, ?, ?, ?, ?)')
    this.#extendLeases = database.prepare(
      'update semel_task set expires_at = ? where grp = ? and owner = ? and expires_at > ?',
    )
    this.#forgetMembers = database.prepare(
      'delete from semel_member where grp = ? and seen_at + lease_ms <= ?',
    )
    this.#members = database.prepare('select member from semel_member where grp = ? order by member')
    this.#leases = database.prepare(
      'select topic, partition, epoch, owner, expires_at from semel_task where grp = ?',
    )
    this.#createTask = database.prepare(
      'insert into semel_task (grp, topic, partition) values (?, ?, ?) on conflict do nothing',
    )
    this.#acquire = database.prepare(
      `update semel_task set owner = ?, expires_at = ?, epoch = epoch + 1
       where grp = ? and topic = ? and partition = ? and epoch = ? and (owner is null or expires_at <= ?)`,
    )
    this.#release = database.prepare(
      `update semel_task set owner = null, expires_at = 0
       where grp = ? and topic = ? and partition = ? and epoch = ?`,
    )
    this.#leave = database.prepare('delete from semel_member where grp = ? and member = ?')
  }

  heartbeat(group: string, member: string, leaseMs: number, report: MemberReport, nowMs: number): GroupView {
    this.#upsertMember.run(group, member, nowMs, leaseMs, JSON.stringify(report))
    this.#extendLeases.run(nowMs + leaseMs, group, member, nowMs)
    this.#forgetMembers.run(group, nowMs)
    return {
      members: this.#members.all(group).map((row) => String(row.member)),
      leases: this.#leases.all(group).map((row) => ({
        task: { group, topic: String(row.topic), partition: Number(row.partition) },
        epoch: Number(row.epoch),
        owner: row.owner === null || Number(row.expires_at) <= nowMs ? undefined : String(row.owner),
      })),
    }
  }

  acquire(
    { group, topic, partition }: TaskId,
    member: string,
    leaseMs: number,
    observedEpoch: number,
    nowMs: number,
  ): number | undefined {
    this.#createTask.run(group, topic, partition)
    const until = nowMs + leaseMs
    const taken = this.#acquire.run(member, until, group, topic, partition, observedEpoch, nowMs)
    return Number(taken.changes) === 1 ? observedEpoch + 1 : undefined
  }

  release({ group, topic, partition }: TaskId, epoch: number): void {
    this.#release.run(group, topic, partition, epoch)
  }

  leave(group: string, member: string): void {
    this.#leave.run(group, member)
  }
}
