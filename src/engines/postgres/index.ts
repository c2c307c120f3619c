import type { Engine } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { checkOptionNames, invalidOption, requireOptions, wholeNumber } from '../../options.ts'
import { type HostConfig, hostsOfUrl } from './connection-options.ts'
import type { PgPool } from './driver.ts'
import { PostgresEngine, type PostgresSettings } from './postgres-engine.ts'
import { postgresLimits } from './postgres-limits.ts'
import { safetySettings, type UnsafeSetting } from './server-identity.ts'

export { postgresFacts } from './facts.ts'

export interface PostgresOptions {
  /**
   * Address of the database, e.g. `postgres://user:password@host:5432/database`. Several hosts, separated by commas,
   * are tried until one can be written to. Or give `connection` or `pool`.
   */
  readonly url?: string | undefined
  /** Options of the driver's client: host, port, user, password, database, ssl, … */
  readonly connection?: Readonly<Record<string, unknown>> | undefined
  /** A pool of the driver `pg` that the program has anyway. It stays open when the bus closes. */
  readonly pool?: object | undefined
  /** Schema of Semel's tables, made if it is missing. Default `semel`. */
  readonly schema?: string | undefined
  /** Most connections of this process to the server. Default 10. */
  readonly connections?: number | undefined
  /** A statement without an answer for so long is given up, and its connection cut. Default 30 s. */
  readonly statementMs?: number | undefined
  /** For how long an operation waits for a server that can be written to. Default 20 s. */
  readonly reconnectMs?: number | undefined
  /** Server settings under which acknowledged events may be lost, accepted by name (D7). */
  readonly acceptUnsafe?: readonly UnsafeSetting[] | undefined
  /**
   * Whether processes tell each other of new events by NOTIFY, for which each keeps one connection. Without it they find
   * them by polling, up to half a second later. Default true; false behind a pooler in transaction mode.
   */
  readonly notify?: boolean | undefined
}

const optionNames = [
  'url',
  'connection',
  'pool',
  'schema',
  'connections',
  'statementMs',
  'reconnectMs',
  'acceptUnsafe',
  'notify',
]
const schemaBytesMax = 63

/** The engine for many machines: events, positions, state and the user's own tables in one PostgreSQL database. */
export function postgres(options: PostgresOptions): Engine {
  requireOptions('postgres options', options)
  checkOptionNames('postgres', options, optionNames)
  const { connections, statementMs, reconnectMs } = options
  return new PostgresEngine({
    ...source(options),
    schema: checkSchema(options.schema ?? 'semel'),
    acceptUnsafe: checkUnsafe(options.acceptUnsafe ?? []),
    notify: checkNotify(options.notify ?? true),
    connections: wholeNumber('connections', connections, {
      min: postgresLimits.connectionsMin,
      max: postgresLimits.connectionsMax,
      fallback: postgresLimits.connectionsDefault,
    }),
    statementMs: wholeNumber('statementMs', statementMs, {
      min: 1,
      max: postgresLimits.statementMsMax,
      fallback: postgresLimits.statementMsDefault,
    }),
    reconnectMs: wholeNumber('reconnectMs', reconnectMs, {
      min: 1,
      max: postgresLimits.reconnectMsMax,
      fallback: postgresLimits.reconnectMsDefault,
    }),
  })
}

function source({ url, connection, pool }: PostgresOptions): Pick<PostgresSettings, 'hosts' | 'pool'> {
  const given = [url, connection, pool].filter((value) => value !== undefined)
  if (given.length !== 1) {
    throw new SemelError('INVALID_OPTION', 'postgres needs exactly one of url, connection and pool', {
      field: 'url',
    })
  }
  if (pool !== undefined) return { hosts: [], pool: checkPool(pool) }
  if (connection !== undefined) return { hosts: [checkConnection(connection)], pool: undefined }
  if (typeof url !== 'string') throw invalidOption('url', 'a connection string', undefined)
  return { hosts: hostsOfUrl(url), pool: undefined }
}

function checkConnection(connection: Readonly<Record<string, unknown>>): HostConfig {
  if (typeof connection !== 'object' || connection === null)
    throw invalidOption('connection', 'an object', undefined)
  return connection
}

function checkPool(pool: object): PgPool {
  const isPool = pool !== null && 'connect' in pool && 'end' in pool && 'on' in pool
  if (!isPool) throw invalidOption('pool', 'a pool of the driver pg', undefined)
  // Its three members that we use were just looked for.
  const candidate = pool as PgPool
  const max = candidate.options?.max ?? postgresLimits.connectionsMin
  if (max >= postgresLimits.connectionsMin) return candidate
  throw new SemelError(
    'INVALID_OPTION',
    `a pool must allow ${postgresLimits.connectionsMin} connections, not ${max}`,
    {
      field: 'pool',
      limit: postgresLimits.connectionsMin,
      actual: max,
      hint: 'a handler that waits for state while its transaction is open needs a second connection',
    },
  )
}

function checkSchema(schema: string): string {
  const isName = typeof schema === 'string' && schema !== '' && !schema.includes('\u0000')
  if (isName && Buffer.byteLength(schema) <= schemaBytesMax && !schema.startsWith('pg_')) return schema
  throw new SemelError(
    'INVALID_OPTION',
    `schema must be a name of 1 to ${schemaBytesMax} bytes that does not begin with pg_`,
    {
      field: 'schema',
      limit: schemaBytesMax,
    },
  )
}

function checkNotify(notify: boolean): boolean {
  if (typeof notify === 'boolean') return notify
  throw invalidOption('notify', 'true or false', notify)
}

function checkUnsafe(names: readonly UnsafeSetting[]): readonly UnsafeSetting[] {
  const isList = Array.isArray(names) && names.every((name) => safetySettings.includes(name))
  if (isList) return names
  throw new SemelError('INVALID_OPTION', `acceptUnsafe is a list of ${safetySettings.join(', ')}`, {
    field: 'acceptUnsafe',
  })
}
