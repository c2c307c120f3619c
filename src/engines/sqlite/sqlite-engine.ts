import type { DatabaseSync } from 'node:sqlite'
import type {
  AppendGroup,
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
import { orAborted } from '../../platform/wait.ts'
import { AppendWatch } from './append-watch.ts'
import { appendedOf } from './batch-outcome.ts'
import { openForReading } from './database-file.ts'
import { toUnitRequest, toWireBatches } from './encode-request.ts'
import { sqliteFacts } from './facts.ts'
import { LogReader } from './log-reader.ts'
import { fromWire, openError, readError } from './sqlite-errors.ts'
import { SqliteLeases } from './sqlite-leases.ts'
import { sqliteStatus } from './sqlite-status.ts'
import { SqliteTransaction } from './sqlite-transaction.ts'
import { StateReader } from './state-reader.ts'
import { WriterClient } from './writer-client.ts'

export interface SqliteSettings {
  readonly file: string
  readonly lockWaitMs: number
}

interface OpenFile {
  readonly context: EngineContext
  readonly writer: WriterClient
  readonly database: DatabaseSync
  readonly reader: LogReader
  readonly state: StateReader
  readonly watch: AppendWatch
}

/**
 * The embedded engine: one SQLite file. All writing happens in a worker thread, so an fsync never blocks the event
 * loop; reading goes over a connection of this thread.
 */
export class SqliteEngine implements Engine {
  readonly facts = sqliteFacts
  readonly #settings: SqliteSettings
  #open: OpenFile | undefined

  constructor(settings: SqliteSettings) {
    this.#settings = settings
  }

  async open(context: EngineContext): Promise<void> {
    const { file, lockWaitMs } = this.#settings
    const writer = await WriterClient.start({ file, lockWaitMs }, context.platform)
    let database: DatabaseSync | undefined
    try {
      database = openForReading(file)
      const watch = new AppendWatch(database, context.platform)
      const reader = new LogReader(database, file)
      this.#open = { context, writer, database, reader, state: new StateReader(database), watch }
    } catch (error) {
      database?.close()
      await writer.close()
      throw openError(error, file)
    }
  }

  async close(): Promise<void> {
    const { writer, database, watch } = this.#file
    watch.close()
    // The last writing connection to close copies the write-ahead log into the file; a reader that is still there
    // would leave the log behind.
    database.close()
    await writer.close()
  }

  get logId(): string {
    return this.#file.writer.logId
  }

  async declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    await this.#file.writer.request({ op: 'declare', topics })
  }

  async append(group: AppendGroup, options: AppendOptions): Promise<AppendResult> {
    const { calls, failuresSeen } = group
    const { hasMarks } = this.#file.writer
    const batches = toWireBatches(group.batches, hasMarks)
    const { durability } = options
    const reply = await this.#file.writer.request({ op: 'append', calls, failuresSeen, durability, batches })
    assert(typeof reply === 'object' && 'failures' in reply, 'an append is answered with offsets')
    this.#file.watch.notify()
    return {
      batches: reply.batches.map((batch, b) => appendedOf(batch, group.batches[b]!.records.length)),
      failures: new Map(reply.failures.map(([call, error]) => [call, fromWire(error)])),
    }
  }

  /** Reading is synchronous; the turn afterwards lets the rest of the process run when somebody reads in a loop. */
  async read(request: ReadRequest): Promise<ReadResult> {
    const { context } = this.#file
    const result = this.#look(({ reader }) => reader.read(request))
    await new Promise<void>((resolve) => context.platform.timers.soon(resolve))
    return result
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return this.#look(({ reader }) => reader.bounds(topic))
  }

  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return this.#look(({ reader }) => reader.offsetAt(topic, partition, time))
  }

  onAppend(listener: () => void): () => void {
    return this.#file.watch.listen(listener)
  }

  async join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    const { context, writer } = this.#file
    const { platform, member } = context
    return await LeaseBalancer.join({ table: new SqliteLeases(writer), platform, member, request, listener })
  }

  async load(lease: Lease): Promise<TaskPosition> {
    return this.#look(({ state }) => state.position(lease.task))
  }

  async readState(
    task: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    return this.#look(({ state }) => state.read(task, store, keys))
  }

  async stores(task: TaskId): Promise<readonly string[]> {
    return this.#look(({ state }) => state.stores(task))
  }

  async scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return this.#look(({ state }) => state.scan(request))
  }

  async commit(unit: Unit): Promise<void> {
    await this.#file.writer.request(toUnitRequest(unit))
    if (unit.appends.length > 0) this.#file.watch.notify()
  }

  async begin(_lease: Lease, signal: AbortSignal): Promise<UnitTransaction> {
    const { writer, watch } = this.#file
    signal.throwIfAborted()
    const session = writer.newSession()
    const beginning = writer.sessionRequest({ op: 'begin' }, session)
    const transaction = new SqliteTransaction(writer, session, () => watch.notify())
    try {
      await orAborted(beginning, signal)
      return transaction
    } catch (error) {
      // Given up while it waited: it may still begin, and must then end at once.
      if (signal.aborted) beginning.then(() => transaction.rollback()).catch(() => undefined)
      throw error
    }
  }

  async seal(request: SealRequest): Promise<void> {
    await this.#file.writer.request({ op: 'seal', seal: request })
  }

  async status(): Promise<EngineStatus> {
    const figures = await this.#file.writer.request({ op: 'status' })
    const status = this.#look(({ database, reader, context }) => {
      const now = context.platform.clock.now()
      return snapshotOf(database, () => sqliteStatus(database, reader, this.#settings.file, now))
    })
    return { ...status, storage: { ...status.storage, ...Object(figures) } }
  }

  /** Reads, and says of a damaged or locked file that it is. */
  #look<T>(read: (file: OpenFile) => T): T {
    try {
      return read(this.#file)
    } catch (error) {
      throw readError(error, this.#settings.file)
    }
  }

  get #file(): OpenFile {
    assert(this.#open !== undefined, 'the guard lets nothing in before open')
    return this.#open
  }
}

/** Everything `read` reads is of one moment. */
function snapshotOf<T>(database: DatabaseSync, read: () => T): T {
  database.exec('begin')
  try {
    return read()
  } finally {
    // A statement that fails badly ends the transaction by itself.
    if (database.isTransaction) database.exec('commit')
  }
}
