import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { GroupView, LeaseRow, LeaseTable } from '../../engine/lease-table.ts'
import { StatementFailure, translated } from './postgres-errors.ts'
import type { Servers } from './servers.ts'
import type { TextRow } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { TopicSeals } from './topic-seals.ts'

/** What \`acquire\` fails with if the topic is sealed (migrations/0010-move.sql). */
const sealedState = 'SM002'

/** The lease table. All times are the server's: the clocks of the members, on whatever machine, do not matter. */
export class PostgresLeases implements LeaseTable {
  readonly #servers: Servers
  readonly #seals: TopicSeals
  readonly #heartbeat: string
  readonly #acquire: string
  readonly #release: string
  readonly #leave: string

  constructor(servers: Servers, schema: string, seals: TopicSeals) {
    const name = quoteIdentifier(schema)
    this.#servers = servers
    this.#seals = seals
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
    return await this.#translating(() =>
      this.#servers.use(async (session) => {
        try {
          const epoch = (await session.rows(this.#acquire, values))[0]?.[0]
          return epoch == null ? undefined : Number(epoch)
        } catch (error) {
          if (!(error instanceof StatementFailure) || error.sqlState !== sealedState) throw error
          const obstacle = await this.#seals.obstacle(session, topic)
          // A hold that had run out has ended here: the next beat acquires the task.
          if (obstacle === undefined) return undefined
          throw obstacle
        }
      }),
    )
  }

  async release({ group, topic, partition }: TaskId, epoch: number): Promise<void> {
    await this.#run(this.#release, [group, topic, partition, epoch])
  }

  async leave(group: string, member: string): Promise<void> {
    await this.#run(this.#leave, [group, member])
  }

  async #run(text: string, values: readonly unknown[]): Promise<readonly TextRow[]> {
    return await this.#translating(() => this.#servers.use((session) => session.rows(text, values)))
  }

  async #translating<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw translated(error, 'the lease table', true)
    }
  }
}
