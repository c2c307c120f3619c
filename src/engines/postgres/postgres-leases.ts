import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView, LeaseRow, LeaseTable } from '../../engine/lease-table.ts'
import { translated } from './postgres-errors.ts'
import type { Servers } from './servers.ts'
import type { TextRow } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'

/** The lease table. All times are the server's: the clocks of the members, on whatever machine, do not matter. */
export class PostgresLeases implements LeaseTable {
  readonly #servers: Servers
  readonly #heartbeat: string
  readonly #acquire: string
  readonly #release: string
  readonly #leave: string

  constructor(servers: Servers, schema: string) {
    const name = quoteIdentifier(schema)
    this.#servers = servers
    this.#heartbeat = `select * from ${name}.heartbeat($1, $2, $3, $4)`
    this.#acquire = `select ${name}.acquire($1, $2, $3, $4, $5, $6)`
    this.#release = `select ${name}.release($1, $2, $3, $4)`
    this.#leave = `select ${name}.leave($1, $2)`
  }

  async heartbeat(group: string, member: string, leaseMs: number, report: MemberReport): Promise<GroupView> {
    const rows = await this.#run(this.#heartbeat, [group, member, leaseMs, JSON.stringify(report)])
    const members: string[] = []
    const leases: LeaseRow[] = []
    for (const [kind, name, partition, epoch, owner] of rows) {
      if (kind === 'member') members.push(name!)
      else {
        const task = { group, topic: name!, partition: Number(partition) }
        leases.push({ task, epoch: Number(epoch), owner: owner ?? undefined })
      }
    }
    return { members: members.sort(), leases }
  }

  async acquire(
    { group, topic, partition }: TaskId,
    member: string,
    leaseMs: number,
    observedEpoch: number,
  ): Promise<number | undefined> {
    const values = [group, topic, partition, member, leaseMs, observedEpoch]
    const epoch = (await this.#run(this.#acquire, values))[0]?.[0]
    return epoch === null || epoch === undefined ? undefined : Number(epoch)
  }

  async release({ group, topic, partition }: TaskId, epoch: number): Promise<void> {
    await this.#run(this.#release, [group, topic, partition, epoch])
  }

  async leave(group: string, member: string): Promise<void> {
    await this.#run(this.#leave, [group, member])
  }

  async #run(text: string, values: readonly unknown[]): Promise<readonly TextRow[]> {
    try {
      return await this.#servers.use((session) => session.rows(text, values))
    } catch (error) {
      throw translated(error, 'the lease table', true)
    }
  }
}
