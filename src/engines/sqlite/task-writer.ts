import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView } from '../../engine/lease-table.ts'
import { SemelError } from '../../errors.ts'
import type { LogWriter } from './log-writer.ts'
import type { UnitRequest } from './writer-protocol.ts'

/** Positions, state and leases, written inside the writer's transaction. */
export class TaskWriter {
  readonly #log: LogWriter
  readonly #now: () => number
  readonly #statements: ReturnType<typeof prepareStatements>

  constructor(database: DatabaseSync, log: LogWriter, now: () => number) {
    this.#log = log
    this.#now = now
    this.#statements = prepareStatements(database)
  }

  /**
   * Refuses a unit before any of it is written: FENCED if the epoch is not the stored one (Z1),
   * POSITION_MISMATCH if the position is not the one it stands on.
   */
  check(unit: UnitRequest): number {
    const { group, topic, partition } = unit.task
    const row = this.#statements.task.get(group, topic, partition)
    if (row === undefined || Number(row.epoch) !== unit.epoch) {
      throw new SemelError(
        'FENCED',
        `${group} on ${topic}/${partition}: epoch ${unit.epoch} is over, now it is ${row?.epoch ?? 'none'}`,
      )
    }
    const stored = row.position === null ? undefined : Number(row.position)
    if (stored !== unit.from) {
      throw new SemelError(
        'POSITION_MISMATCH',
        `${group} on ${topic}/${partition} is at ${stored ?? 'no position'}, the unit begins at ${unit.from ?? 'no position'}`,
      )
    }
    return Number(row.id)
  }

  /** Writes a unit that `check` let through in this transaction. */
  apply(unit: UnitRequest, taskId: number): void {
    if (unit.batches.length > 0) this.#log.appendEmitted(unit.batches)
    for (const { store, keys, values } of unit.state) this.#applyState(taskId, store, keys, values)
    this.#statements.setPosition.run(unit.to, unit.logId, taskId)
  }

  heartbeat(group: string, member: string, leaseMs: number, report: MemberReport): GroupView {
    const { upsertMember, extendLeases, forgetMembers, members, leases } = this.#statements
    const now = this.#now()
    upsertMember.run(group, member, now, leaseMs, JSON.stringify(report))
    extendLeases.run(now + leaseMs, group, member)
    forgetMembers.run(group, now)
    return {
      members: members.all(group).map((row) => String(row.member)),
      leases: leases.all(group).map((row) => ({
        task: { group, topic: String(row.topic), partition: Number(row.partition) },
        epoch: Number(row.epoch),
        owner: row.owner === null || Number(row.expires_at) <= now ? undefined : String(row.owner),
      })),
    }
  }

  acquire(task: TaskId, member: string, leaseMs: number, observedEpoch: number): number | undefined {
    const { group, topic, partition } = task
    const now = this.#now()
    this.#statements.createTask.run(group, topic, partition)
    const taken = this.#statements.acquire.run(
      member,
      now + leaseMs,
      group,
      topic,
      partition,
      observedEpoch,
      now,
    )
    return Number(taken.changes) === 1 ? observedEpoch + 1 : undefined
  }

  release(task: TaskId, epoch: number): void {
    this.#statements.release.run(task.group, task.topic, task.partition, epoch)
  }

  leave(group: string, member: string): void {
    this.#statements.leave.run(group, member)
  }

  #applyState(
    taskId: number,
    store: string,
    keys: readonly string[],
    values: readonly (string | null)[],
  ): void {
    const { upsertState, deleteState } = this.#statements
    for (let i = 0; i < keys.length; i++) {
      const value = values[i]
      if (value === null || value === undefined) deleteState.run(taskId, store, keys[i]!)
      else upsertState.run(taskId, store, keys[i]!, value)
    }
  }
}

function prepareStatements(database: DatabaseSync): Record<StatementName, StatementSync> {
  return {
    task: database.prepare(
      'select id, epoch, position from semel_task where grp = ? and topic = ? and partition = ?',
    ),
    setPosition: database.prepare('update semel_task set position = ?, log_id = ? where id = ?'),
    upsertState: database.prepare(
      'insert into semel_state values (?, ?, ?, ?) on conflict do update set value = excluded.value',
    ),
    deleteState: database.prepare('delete from semel_state where task_id = ? and store = ? and key = ?'),
    upsertMember: database.prepare(
      `insert into semel_member values (?, ?, ?, ?, ?) on conflict do update
       set seen_at = excluded.seen_at, lease_ms = excluded.lease_ms, report = excluded.report`,
    ),
    extendLeases: database.prepare('update semel_task set expires_at = ? where grp = ? and owner = ?'),
    forgetMembers: database.prepare('delete from semel_member where grp = ? and seen_at + lease_ms < ?'),
    members: database.prepare('select member from semel_member where grp = ? order by member'),
    leases: database.prepare(
      'select topic, partition, epoch, owner, expires_at from semel_task where grp = ?',
    ),
    createTask: database.prepare(
      'insert into semel_task (grp, topic, partition) values (?, ?, ?) on conflict do nothing',
    ),
    acquire: database.prepare(
      `update semel_task set owner = ?, expires_at = ?, epoch = epoch + 1
       where grp = ? and topic = ? and partition = ? and epoch = ? and (owner is null or expires_at <= ?)`,
    ),
    release: database.prepare(
      'update semel_task set owner = null, expires_at = 0 where grp = ? and topic = ? and partition = ? and epoch = ?',
    ),
    leave: database.prepare('delete from semel_member where grp = ? and member = ?'),
  }
}

type StatementName =
  | 'task'
  | 'setPosition'
  | 'upsertState'
  | 'deleteState'
  | 'upsertMember'
  | 'extendLeases'
  | 'forgetMembers'
  | 'members'
  | 'leases'
  | 'createTask'
  | 'acquire'
  | 'release'
  | 'leave'
