import type { ClauseException } from '../../engine/status.ts'
import { SemelError } from '../../errors.ts'
import { isolationHint } from './postgres-errors.ts'
import type { Session } from './session.ts'

/** Settings without which an acknowledged write may be lost or damaged (D7). `synchronous_commit` we set ourselves. */
export const safetySettings = ['fsync', 'full_page_writes'] as const
export type UnsafeSetting = (typeof safetySettings)[number]

const versionMin = 140_000

/** What a server says about itself. */
export interface ServerIdentity {
  readonly version: string
  readonly versionNumber: number
  readonly isStandby: boolean
  readonly isReadOnly: boolean
  readonly settings: Readonly<Record<string, string>>
  /** Of the cluster, where the role may ask, and of the database: a standby has its primary's, a restored copy another. */
  readonly system: string
  /** Grows with each promotion. */
  readonly timeline: string
  readonly nowMs: number
}

/** Every name is qualified: it runs with the role's search_path, which may lead to other functions and operators (Q11). */
export const identitySql = `select
  pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num'),
  pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'),
  pg_catalog.current_setting('fsync'), pg_catalog.current_setting('synchronous_commit'),
  pg_catalog.current_setting('full_page_writes'), pg_catalog.current_setting('synchronous_standby_names'),
  pg_catalog.current_setting('default_transaction_isolation'),
  case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
    then (select system_identifier::pg_catalog.text from pg_catalog.pg_control_system()) else '' end
    operator(pg_catalog.||) '/' operator(pg_catalog.||)
    (select d.oid::pg_catalog.text from pg_catalog.pg_database d
      where d.datname operator(pg_catalog.=) pg_catalog.current_database()),
  case when pg_catalog.pg_is_in_recovery() then ''
    else pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) end,
  pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint`

export async function askIdentity(session: Session): Promise<ServerIdentity> {
  const row = (await session.rows(identitySql))[0]!.map((value) => value ?? '')
  return {
    version: row[0]!,
    versionNumber: Number(row[1]),
    isStandby: row[2] === 't',
    isReadOnly: row[3] === 'on',
    settings: {
      pg_is_in_recovery: row[2] === 't' ? 'on' : 'off',
      fsync: row[4]!,
      synchronous_commit: row[5]!,
      full_page_writes: row[6]!,
      synchronous_standby_names: row[7]!,
      default_transaction_isolation: row[8]!,
    },
    system: row[9]!,
    timeline: row[10]!,
    nowMs: Number(row[11]),
  }
}

/** A server that cannot be written to. Another host of the address may do. */
export function writableProblem(server: ServerIdentity): SemelError | undefined {
  if (server.isStandby) {
    return new SemelError(
      'READ_ONLY_STANDBY',
      'the server is a standby: it can neither be written to nor be trusted to be up to date',
      {
        retryable: true,
        hint: 'connect to the primary, or name all hosts in the url and let Semel find it',
      },
    )
  }
  if (!server.isReadOnly) return undefined
  return new SemelError(
    'STORAGE_READ_ONLY',
    'the server, database or role has default_transaction_read_only = on',
    {
      retryable: true,
      hint: 'alter role … set default_transaction_read_only = off',
    },
  )
}

/** Settings that do not allow what `fsync` promises, and were not accepted by name (D1, D7). */
export function checkDurability(server: ServerIdentity, accepted: readonly UnsafeSetting[]): void {
  for (const name of safetySettings) {
    if (server.settings[name] !== 'off' || accepted.includes(name)) continue
    throw new SemelError(
      'DURABILITY_UNAVAILABLE',
      `the server runs with ${name} = off, so nothing it acknowledges is safe`,
      {
        field: name,
        hint: `set ${name} = on, or accept it by name: postgres({ acceptUnsafe: ['${name}'] })`,
      },
    )
  }
}

/** Offsets are dense because a statement sees what was committed while it waited for a lock (P1). */
export function checkIsolation({ settings }: ServerIdentity): void {
  const level = settings.default_transaction_isolation
  if (level === 'read committed') return
  throw new SemelError(
    'UNSAFE_SETTING',
    `the server, database or role has default_transaction_isolation = ${level}`,
    {
      field: 'default_transaction_isolation',
      hint: isolationHint,
    },
  )
}

/** What such settings break, where they were accepted by name. */
export function durabilityExceptions(settings: Readonly<Record<string, unknown>>): ClauseException[] {
  const off = safetySettings.filter((name) => settings[name] === 'off')
  if (off.length === 0) return []
  const why = `the server runs with ${off.map((name) => `${name} = off`).join(', ')}`
  return [
    { clause: 'D1', why },
    { clause: 'D5', why },
  ]
}

export function checkVersion({ version, versionNumber }: ServerIdentity): void {
  if (versionNumber >= versionMin) return
  throw new SemelError('UNSUPPORTED', `the server is PostgreSQL ${version}; Semel needs 14 or newer`)
}
