import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView, LeaseTable } from '../../engine/lease-table.ts'
import { assert } from '../../errors.ts'
import type { WriterClient } from './writer-client.ts'

/** The lease table of a file. All members are on one machine, so its wall clock is theirs too. */
export class SqliteLeases implements LeaseTable {
  readonly #writer: WriterClient

  constructor(writer: WriterClient) {
    this.#writer = writer
  }

  async heartbeat(group: string, member: string, leaseMs: number, report: MemberReport): Promise<GroupView> {
    const reply = await this.#writer.request({ op: 'heartbeat', group, member, leaseMs, report })
    assert(typeof reply === 'object' && 'leases' in reply, 'a heartbeat is answered with the group')
    return reply
  }

  async acquire(
    task: TaskId,
    member: string,
    leaseMs: number,
    observedEpoch: number,
  ): Promise<number | undefined> {
    const reply = await this.#writer.request({ op: 'acquire', task, member, leaseMs, observedEpoch })
    assert(reply === undefined || typeof reply === 'number', 'an acquire is answered with an epoch')
    return reply
  }

  async release(task: TaskId, epoch: number): Promise<void> {
    await this.#writer.request({ op: 'release', task, epoch })
  }

  async leave(group: string, member: string): Promise<void> {
    await this.#writer.request({ op: 'leave', group, member })
  }
}
