import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../ports.ts'
import { Home } from './guard.ts'
import { giveAway, runAs, writeOwned } from './run-as.ts'
import { type PostgresAddress, queryOnce, type Settings } from './server.ts'
import { until } from './until.ts'

export interface PgBouncerOptions {
  /** `transaction` if not given: a client has another session in each of its transactions. */
  readonly mode?: 'transaction' | 'session' | 'statement'
  /** Server connections per database and user; 2 if not given, so that clients do have to share. */
  readonly poolSize?: number
  /** Lines of the section [pgbouncer], over the defaults. */
  readonly settings?: Settings
}

export interface PgBouncer extends PostgresAddress, AsyncDisposable {
  readonly port: number
  /** Of the pooler's own console, which answers SHOW POOLS and the like. */
  readonly adminUrl: string
  readonly pid: number
  readonly log: string
  urlOf(database: string): string
  stop(): Promise<void>
}

const places = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']

/** A real PgBouncer before a server, on a free port of 127.0.0.1. It ends when this process ends. */
export async function startPgBouncer(
  server: PostgresAddress,
  options: PgBouncerOptions = {},
): Promise<PgBouncer> {
  const program = places.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path))
  if (program === undefined)
    throw new Error('PgBouncer is not installed: apt-get install -y --no-install-recommends pgbouncer')
  const home = new Home()
  const folder = join(home.folder, 'data')
  const port = await freePort()
  mkdirSync(folder)
  giveAway(folder)
  writeOwned(join(folder, 'pgbouncer.ini'), configuration(folder, port, new URL(server.url), options))
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], { ...runAs(), stdio: 'ignore', cwd: folder })
  child.unref()
  const log = () => readFileSync(join(folder, 'pgbouncer.log'), 'utf8')
  const urlOf = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`
  const stop = () => end(child, home)
  try {
    await once(child, 'spawn')
    await until('PgBouncer answers', () => queryOnce(urlOf('postgres'), 'select 1'))
  } catch (cause) {
    const printed = existsSync(join(folder, 'pgbouncer.log')) ? log() : ''
    await stop()
    throw new Error(`PgBouncer did not get ready:\n${printed}`, { cause })
  }
  const url = urlOf(new URL(server.url).pathname.slice(1))
  return {
    port,
    url,
    urlOf,
    adminUrl: urlOf('pgbouncer'),
    pid: child.pid!,
    stop,
    get log() {
      return log()
    },
    [Symbol.asyncDispose]: stop,
  }
}

function configuration(folder: string, port: number, server: URL, options: PgBouncerOptions): string {
  const settings: Settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: options.mode ?? 'transaction',
    default_pool_size: options.poolSize ?? 2,
    max_client_conn: 500,
    admin_users: 'postgres',
    ignore_startup_parameters: 'extra_float_digits',
    logfile: join(folder, 'pgbouncer.log'),
    pidfile: join(folder, 'pgbouncer.pid'),
    ...options.settings,
  }
  const target = `* = host=${server.hostname} port=${server.port} user=${server.username}`
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  return ['[databases]', target, '[pgbouncer]', ...lines, ''].join('\n')
}

async function end(child: ChildProcess, home: Home): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit')
    child.ref()
    child.kill('SIGTERM')
    await gone
  }
  await home.remove()
}
