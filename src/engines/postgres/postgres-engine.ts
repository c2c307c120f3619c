import type {
  AppendGroup,
  AppendListener,
  AppendOptions,
  AppendResult,
  Engine,
  EngineContext,
  JoinRequest,
  Lease,
  Membership,
  OwnershipListener,
  PartitionBounds,
  ReadRequest,
  ReadResult,
  ScanRequest,
  SealRequest,
  StateEntry,
  TaskId,
  TaskPosition,
  TopicSpec,
  Unit,
  UnitTransaction,
} from '../../engine/engine.ts'
import { LeaseBalancer } from '../../engine/lease-balancer.ts'
import type { EngineStatus } from '../../engine/status.ts'
import { assert } from '../../errors.ts'
import type { HostConfig } from './connection-options.ts'
import { declareTopics } from './declare-topics.ts'
import type { PgPool } from './driver.ts'
import { postgresFacts } from './facts.ts'
import { type OpenDatabase, openDatabase } from './open-database.ts'
import { translated } from './postgres-errors.ts'
import { PostgresLeases } from './postgres-leases.ts'
import { postgresStatus, serverStorage } from './postgres-status.ts'
import { PostgresTransaction } from './postgres-transaction.ts'
import { durabilityExceptions, type UnsafeSetting } from './server-identity.ts'
import type { Session } from './session.ts'
import { TailReads } from './tail-reads.ts'
import { beginSql } from './transaction.ts'
import { appendRequest, unitRequest } from './write-requests.ts'

export interface PostgresSettings {
  readonly hosts: readonly HostConfig[]
  readonly pool: PgPool | undefined
  readonly schema: string
  readonly connections: number
  readonly statementMs: number
  readonly reconnectMs: number
  readonly acceptUnsafe: readonly UnsafeSetting[]
  readonly notify: boolean
}

/**
 * The engine for many machines: one PostgreSQL database. Everything that this process appends or commits goes through
 * one writer that merges what waits; reading goes over the other connections of the pool.
 */
export class PostgresEngine implements Engine {
  readonly facts = postgresFacts
  readonly #settings: PostgresSettings
  #open: OpenDatabase | undefined
  #tails: TailReads | undefined

  constructor(settings: PostgresSettings) {
    this.#settings = settings
  }

  async open(context: EngineContext): Promise<void> {
    this.#open = await openDatabase(this.#settings, context)
    const { reader } = this.#open
    this.#tails = new TailReads(context.platform, (requests) =>
      this.#reading('reading the log', (session) => reader.readMany(session, requests)),
    )
  }

  async close(): Promise<void> {
    const { writer, watch, hints, servers } = this.#database
    watch.close()
    await writer.idle()
    await hints.close()
    await writer.writeRefused().catch(() => undefined)
    await servers.close()
  }

  get logId(): string {
    return this.#database.logId
  }

  async declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    const { servers } = this.#database
    try {
      await servers.use((session) => declareTopics(session, this.#settings.schema, topics))
    } catch (error) {
      throw translated(error, 'declaring topics', true)
    }
    for (const spec of topics) this.#database.topics.noteWindow(spec)
  }

  append(group: AppendGroup, { durability }: AppendOptions): Promise<AppendResult> {
    const { request, answer } = appendRequest(group, durability === 'fsync')
    this.#database.writer.submit(request)
    return answer
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    const { reader } = this.#database
    const recent = request.isTold ? reader.recent(request) : undefined
    if (recent !== undefined) return recent
    if (this.#tails !== undefined && reader.isTail(request)) return await this.#tails.read(request)
    return await this.#reading('reading the log', (session) => reader.read(session, request))
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return await this.#reading('reading bounds', (session) => this.#database.reader.bounds(session, topic))
  }

  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    const { reader } = this.#database
    return await this.#reading('looking up a time', (session) =>
      reader.offsetAt(session, topic, partition, time),
    )
  }

  onAppend(listener: AppendListener): () => void {
    return this.#database.watch.listen(listener)
  }

  async join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    const { context, servers, seals } = this.#database
    const { platform, member } = context
    const table = new PostgresLeases(servers, this.#settings.schema, seals)
    return await LeaseBalancer.join({ table, platform, member, request, listener })
  }

  async load({ task }: Lease): Promise<TaskPosition> {
    return await this.#reading('loading a position', (session) =>
      this.#database.state.position(session, task),
    )
  }

  async readState(
    task: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    if (keys.length === 0) return []
    const { state } = this.#database
    return await this.#reading('reading state', (session) => state.read(session, task, store, keys))
  }

  async stores(task: TaskId): Promise<readonly string[]> {
    return await this.#reading('reading stores', (session) => this.#database.state.stores(session, task))
  }

  async scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return await this.#reading('scanning state', (session) => this.#database.state.scan(session, request))
  }

  commit(unit: Unit): Promise<void> {
    const { request, answer } = unitRequest(unit)
    this.#database.writer.submit(request)
    return answer
  }

  /** Waits while as many transactions are open as connections can be spared. */
  async begin(_lease: Lease, signal: AbortSignal): Promise<UnitTransaction> {
    const { places, servers, writer } = this.#database
    await places.take(signal)
    try {
      const { session, started } = await servers.leaseStarted(begin, signal)
      return new PostgresTransaction(session, started, writer, () => places.give())
    } catch (error) {
      places.give()
      throw signal.aborted ? error : translated(error, 'beginning a transaction', false)
    }
  }

  async seal(request: SealRequest): Promise<void> {
    const { servers, seals } = this.#database
    try {
      await servers.use((session) => seals.change(session, request))
    } catch (error) {
      throw translated(error, 'sealing a topic', true)
    }
  }

  async status(): Promise<EngineStatus> {
    const { writer, storage } = this.#database
    await writer.writeRefused()
    return await this.#reading('reading the status', async (session) => {
      const status = await postgresStatus(session, this.#settings.schema)
      const server = storage()
      return {
        ...status,
        storage: { ...server, ...(await serverStorage(session, this.#settings.schema)) },
        exceptions: durabilityExceptions(server),
      }
    })
  }

  async #reading<T>(doing: string, work: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await this.#database.servers.read(work)
    } catch (error) {
      throw translated(error, doing, false)
    }
  }

  get #database(): OpenDatabase {
    assert(this.#open !== undefined, 'the guard lets nothing in before open')
    return this.#open
  }
}

/** Answers the time at which the transaction began, by which it is told from another on the same connection. */
async function begin(session: Session): Promise<string> {
  await session.command(beginSql)
  const [row] = await session.rows('select pg_catalog.now()')
  return row![0]!
}
