import type { EngineContext } from '../../engine/engine.ts'
import type { Platform } from '../../platform/platform.ts'
import { AppendHints } from './append-hints.ts'
import { AppendWatch } from './append-watch.ts'
import { poolConfig } from './connection-options.ts'
import { loadDriver } from './driver.ts'
import { FailedCalls } from './failed-calls.ts'
import { IdLoader } from './id-loader.ts'
import { KnownEvents } from './known-events.ts'
import { LogReader } from './log-reader.ts'
import { LogWitness } from './log-witness.ts'
import { migrate, type SchemaFacts } from './migrate.ts'
import { PlacesFree } from './places-free.ts'
import type { PostgresSettings } from './postgres-engine.ts'
import { translated } from './postgres-errors.ts'
import { postgresLimits } from './postgres-limits.ts'
import { RecentRows } from './recent-rows.ts'
import { RefusedCounts } from './refused-counts.ts'
import { ServerClock } from './server-clock.ts'
import {
  askIdentity,
  checkDurability,
  checkIsolation,
  checkVersion,
  type ServerIdentity,
} from './server-identity.ts'
import { Servers } from './servers.ts'
import { StateLogs } from './state-logs.ts'
import { StateReader } from './state-reader.ts'
import { TaskTable } from './task-table.ts'
import { TopicSeals } from './topic-seals.ts'
import { TopicTable } from './topic-table.ts'
import { Writer } from './writer.ts'

/** Everything that exists while the engine is open. */
export interface OpenDatabase {
  readonly context: EngineContext
  readonly logId: string
  readonly servers: Servers
  readonly topics: TopicTable
  readonly writer: Writer
  readonly reader: LogReader
  readonly state: StateReader
  readonly seals: TopicSeals
  readonly watch: AppendWatch
  readonly hints: AppendHints
  readonly places: PlacesFree
  storage(): Readonly<Record<string, number | string>>
}

export async function openDatabase(
  settings: PostgresSettings,
  context: EngineContext,
): Promise<OpenDatabase> {
  const servers = await connect(settings, context)
  try {
    return await prepare(settings, context, servers)
  } catch (error) {
    await servers.close()
    throw translated(error, 'opening', false)
  }
}

async function connect(settings: PostgresSettings, { platform }: EngineContext): Promise<Servers> {
  const { pool, hosts, connections, statementMs, reconnectMs } = settings
  const parts = { platform, statementMs, reconnectMs }
  if (pool !== undefined) return new Servers({ ...parts, pools: [pool], ownsPools: false })
  const { Pool } = await loadDriver()
  const pools = hosts.map((host) => new Pool(poolConfig(host, connections)))
  return new Servers({ ...parts, pools, ownsPools: true })
}

async function prepare(
  settings: PostgresSettings,
  context: EngineContext,
  servers: Servers,
): Promise<OpenDatabase> {
  const { schema, acceptUnsafe, connections, pool } = settings
  const { platform, durability } = context
  const session = await servers.lease()
  let server: ServerIdentity
  let facts: SchemaFacts
  try {
    server = await askIdentity(session)
    checkVersion(server)
    checkIsolation(server)
    if (durability === 'fsync') checkDurability(server, acceptUnsafe)
    facts = await migrate(session, schema, () => newLog(context))
  } finally {
    session.release()
  }
  const { hints, watch } = waiting(settings.notify, servers, platform, facts)
  const recent = new RecentRows(() => watch.hasListeners)
  const reader = new LogReader(schema, recent)
  const witness = new LogWitness(schema, reader)
  witness.begin(facts.logId, server)
  servers.onNewcomer((newcomer, identity) => witness.check(newcomer, identity))
  const clock = new ServerClock(platform.clock)
  clock.note(server.nowMs)
  const topics = new TopicTable(schema, facts.hashSeed)
  const round = {
    schema,
    topics,
    tasks: new TaskTable(schema),
    known: new KnownEvents(schema),
    loader: new IdLoader(schema, clock),
    clock,
    failed: new FailedCalls(),
    refused: new RefusedCounts(schema, platform.clock),
    witness,
    seals: new TopicSeals(schema),
    recent,
    stateLogs: new StateLogs(schema),
  }
  const writer = new Writer({
    round,
    servers,
    platform,
    onWritten: (places) => {
      watch.notify(places)
      if (settings.notify) hints.send()
    },
  })
  return {
    context,
    logId: facts.logId,
    servers,
    topics,
    writer,
    reader,
    state: new StateReader(schema, round.tasks, round.stateLogs),
    seals: round.seals,
    watch,
    hints,
    places: new PlacesFree((pool?.options?.max ?? connections) - postgresLimits.connectionsKeptFree),
    storage: () => ({ schema, server: server.version, ...server.settings }),
  }
}

/** What wakes those who wait for events. */
function waiting(
  notify: boolean,
  servers: Servers,
  platform: Platform,
  { logId }: SchemaFacts,
): { readonly hints: AppendHints; readonly watch: AppendWatch } {
  const channel = `semel_${logId}`
  const hints = new AppendHints({ servers, platform, channel, onHint: () => watch.notify() })
  const watch = new AppendWatch(() => {
    if (notify) hints.listen()
  })
  return { hints, watch }
}

function newLog({ platform }: EngineContext): SchemaFacts {
  const { random } = platform
  const logId = Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
  return { logId, hashSeed: random.uint32() }
}
