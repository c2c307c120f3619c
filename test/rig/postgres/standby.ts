import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { runCommand, writeOwned } from './run-as.ts'
import { launch, type PostgresServer, type Settings } from './server.ts'
import { until } from './until.ts'

export interface StandbyOptions {
  /** Whether the primary waits with its acknowledgement until this standby has flushed. */
  readonly synchronous: boolean
  /** Where the standby finds its primary, if not at the primary's own port: a fault proxy. */
  readonly through?: { readonly port: number }
  readonly settings?: Settings
  readonly fsync?: boolean
}

export interface Standby extends AsyncDisposable {
  readonly name: string
  /** The server itself, with all that a server can: `kill9`, `pause`, `restart`. Read-only until promoted. */
  readonly server: PostgresServer
  readonly url: string
  /** Bytes of the log that the primary has written and this standby has not replayed. Asks the primary. */
  lag(): Promise<number>
  /** Resolves when all that the primary has written up to now is replayed. */
  caughtUp(): Promise<void>
  /** Makes it a primary; resolves when it takes writes. */
  promote(): Promise<void>
  /** Ends it and removes its data. The primary, if it is up, no longer waits for it nor keeps log for it. */
  stop(): Promise<void>
}

const synchronousNames = new WeakMap<PostgresServer, string[]>()
let made = 0

/** A streaming standby of a running primary. */
export async function startStandby(primary: PostgresServer, options: StandbyOptions): Promise<Standby> {
  const name = `standby_${process.pid}_${++made}`
  await primary.query('select pg_create_physical_replication_slot($1, true)', [name])
  let server: PostgresServer | undefined
  try {
    const { version } = primary
    server = await launch({ ...options, version }, (dataDir) => fillStandby(primary, dataDir, name, options))
    if (options.synchronous) await waitFor(primary, name, true)
    const state = options.synchronous ? 'sync' : 'async'
    await until(`${name} streams as ${state}`, async () => {
      const text = "select 1 from pg_stat_replication where application_name = $1 and state = 'streaming'"
      return (await primary.query(`${text} and sync_state = $2`, [name, state])).length === 1
    })
    return new StreamingStandby(name, primary, server, options)
  } catch (error) {
    await server?.stop()
    await forget(primary, name, options)
    throw error
  }
}

class StreamingStandby implements Standby {
  readonly name: string
  readonly server: PostgresServer
  readonly #primary: PostgresServer
  readonly #options: StandbyOptions

  constructor(name: string, primary: PostgresServer, server: PostgresServer, options: StandbyOptions) {
    this.name = name
    this.server = server
    this.#primary = primary
    this.#options = options
  }

  get url(): string {
    return this.server.url
  }

  async lag(): Promise<number> {
    const [row] = await this.#primary.query<{ lag: string }>(
      `select pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as lag
       from pg_stat_replication where application_name = $1`,
      [this.name],
    )
    if (row === undefined) throw new Error(`${this.name} is not connected to its primary`)
    return Number(row.lag)
  }

  async caughtUp(): Promise<void> {
    const [now] = await this.#primary.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn')
    await until(`${this.name} has replayed ${now!.lsn}`, async () => {
      const text = 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as done'
      return (await this.server.query<{ done: boolean }>(text, [now!.lsn]))[0]!.done
    })
  }

  async promote(): Promise<void> {
    await this.server.query('select pg_promote(true, 60)')
    await until(`${this.name} takes writes`, async () => {
      const [row] = await this.server.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
      return row!.standby === false
    })
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await forget(this.#primary, this.name, this.#options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/**
 * A base backup of the running primary by its own functions, as pg_basebackup is not among our programs. What is copied
 * may be torn; the log from the backup's start, which the slot keeps, mends it.
 */
async function fillStandby(
  primary: PostgresServer,
  dataDir: string,
  name: string,
  options: StandbyOptions,
): Promise<void> {
  const client = new Client({ connectionString: primary.url })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select pg_backup_start($1, true)', [name])
    await copyRunning(primary.dataDir, dataDir)
    const stopped = await client.query<{ labelfile: string }>(
      'select labelfile from pg_backup_stop(wait_for_archive => false)',
    )
    writeOwned(join(dataDir, 'backup_label'), stopped.rows[0]!.labelfile)
  } finally {
    await client.end()
  }
  const port = options.through?.port ?? primary.port
  const primaryAddress = `host=127.0.0.1 port=${port} user=postgres application_name=${name}`
  // In place of what ALTER SYSTEM has set on the primary: a standby of a synchronous one would itself wait for others.
  const lines = `primary_conninfo = '${primaryAddress}'\nprimary_slot_name = '${name}'\n`
  writeOwned(join(dataDir, 'postgresql.auto.conf'), lines)
  writeOwned(join(dataDir, 'standby.signal'), '')
}

/** Not copied: the log, which is streamed, and what belongs to the running process. The control file goes last. */
async function copyRunning(from: string, to: string): Promise<void> {
  const leftOut = /^(pg_wal|pg_replslot|postmaster\..*|global|rig\.conf)$/
  const entries = readdirSync(from).filter((entry) => !leftOut.test(entry))
  const fresh = ['pg_wal', 'pg_wal/archive_status', 'pg_wal/summaries', 'pg_replslot']
  await runCommand('mkdir', ['-m', '700', to, ...fresh.map((folder) => join(to, folder))])
  await copyVanishing(
    [...entries, 'global'].map((entry) => join(from, entry)),
    to,
  )
  await runCommand('cp', ['-p', join(from, 'global/pg_control'), join(to, 'global/pg_control')])
}

/** Files of a running server come and go; that some are gone when `cp` gets to them is no error. */
async function copyVanishing(paths: readonly string[], to: string): Promise<void> {
  try {
    await runCommand('cp', ['-Rp', ...paths, to])
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    const onlyVanished = text !== '' && text.split('\n').every((line) => /No such file/.test(line))
    if (!onlyVanished) throw error
  }
}

async function waitFor(primary: PostgresServer, name: string, wanted: boolean): Promise<void> {
  const others = (synchronousNames.get(primary) ?? []).filter((other) => other !== name)
  const names = wanted ? [...others, name] : others
  synchronousNames.set(primary, names)
  const value = names.length === 0 ? '' : `FIRST ${names.length} (${names.join(', ')})`
  await primary.query(`alter system set synchronous_standby_names = '${value}'`)
  await primary.query('select pg_reload_conf()')
}

async function forget(primary: PostgresServer, name: string, options: StandbyOptions): Promise<void> {
  if (primary.pid === undefined) return
  if (options.synchronous) await waitFor(primary, name, false)
  const text = 'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1'
  await until(`the slot of ${name} is free`, async () => {
    await primary.query(text, [name])
    return true
  })
}
