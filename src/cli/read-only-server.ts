import type { PartitionBounds, ReadRequest, ReadResult, ScanRequest, StateEntry } from '../engine/engine.ts'
import type { EngineStatus } from '../engine/status.ts'
import { hostsOfUrl, poolConfig } from '../engines/postgres/connection-options.ts'
import { loadDriver } from '../engines/postgres/driver.ts'
import { postgresFacts } from '../engines/postgres/facts.ts'
import { LogReader } from '../engines/postgres/log-reader.ts'
import { existingSchema } from '../engines/postgres/migrate.ts'
import { translated } from '../engines/postgres/postgres-errors.ts'
import { postgresLimits } from '../engines/postgres/postgres-limits.ts'
import { postgresStatus, serverStorage } from '../engines/postgres/postgres-status.ts'
import { askIdentity, durabilityExceptions } from '../engines/postgres/server-identity.ts'
import { Servers } from '../engines/postgres/servers.ts'
import type { Session } from '../engines/postgres/session.ts'
import { StateLogs } from '../engines/postgres/state-logs.ts'
import { StateReader } from '../engines/postgres/state-reader.ts'
import { TaskTable } from '../engines/postgres/task-table.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { ReadOnlyEngine } from './read-only-engine.ts'

const connections = 2
const reconnectMs = 5_000

/** The reading half of the PostgreSQL engine on a schema that exists already. A role that may only read is enough. */
export class ReadOnlyServer extends ReadOnlyEngine {
  readonly facts = postgresFacts
  readonly logId: string
  readonly name: string
  readonly #schema: string
  readonly #servers: Servers
  readonly #reader: LogReader
  readonly #state: StateReader

  private constructor(servers: Servers, schema: string, logId: string) {
    super()
    this.#servers = servers
    this.#schema = schema
    this.logId = logId
    this.name = `schema ${schema}`
    this.#reader = new LogReader(schema)
    this.#state = new StateReader(schema, new TaskTable(schema), new StateLogs(schema))
  }

  /** @throws SemelError NOT_FOUND, STORAGE_FORMAT, ENGINE_UNAVAILABLE, READ_ONLY_STANDBY */
  static async open(url: string, schema: string): Promise<ReadOnlyServer> {
    const hosts = hostsOfUrl(url)
    const { Pool } = await loadDriver()
    const pools = hosts.map((host) => new Pool(poolConfig(host, connections)))
    const { statementMsDefault: statementMs } = postgresLimits
    const servers = new Servers({ pools, ownsPools: true, platform: realPlatform, statementMs, reconnectMs })
    try {
      const { logId } = await servers.use((session) => existingSchema(session, schema))
      return new ReadOnlyServer(servers, schema, logId)
    } catch (error) {
      await servers.close()
      throw translated(error, 'looking at the server', false)
    }
  }

  async close(): Promise<void> {
    await this.#servers.close()
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    return await this.#reading((session) => this.#reader.read(session, request))
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return await this.#reading((session) => this.#reader.bounds(session, topic))
  }

  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return await this.#reading((session) => this.#reader.offsetAt(session, topic, partition, time))
  }

  /** Nobody tells us; whoever follows asks again. */
  onAppend(): () => void {
    return () => undefined
  }

  async scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return await this.#reading((session) => this.#state.scan(session, request))
  }

  async status(): Promise<EngineStatus> {
    return await this.#reading(async (session) => {
      const { version, settings } = await askIdentity(session)
      const figures = await serverStorage(session, this.#schema)
      return {
        ...(await postgresStatus(session, this.#schema)),
        storage: { schema: this.#schema, server: version, ...settings, ...figures },
        exceptions: durabilityExceptions(settings),
      }
    })
  }

  async #reading<T>(work: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await this.#servers.read(work)
    } catch (error) {
      throw translated(error, 'reading', false)
    }
  }
}
