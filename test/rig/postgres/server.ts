import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { freePort } from '../ports.ts'
import { type Binaries, binaries, type PostgresVersion } from './binaries.ts'
import { Home } from './guard.ts'
import { childrenOf, isAlive, signalAll } from './processes.ts'
import { runAs, runCommand, writeOwned } from './run-as.ts'
import { until } from './until.ts'

export type { PostgresVersion } from './binaries.ts'
export type Settings = Readonly<Record<string, string | number | boolean>>

export interface PostgresOptions {
  /** 18 if not given. */
  readonly version?: PostgresVersion
  /** Lines of postgresql.conf, over the defaults. */
  readonly settings?: Settings
  /** True if not given: what is acknowledged is on the disk. */
  readonly fsync?: boolean
  /**
   * All servers start from copies of one data directory and so have one system identifier, as a restored copy would.
   * `true` runs initdb for this one, which takes a second and makes it another system.
   */
  readonly ownIdentity?: boolean
  /** Where its folder is made, such as on a small disk; the temporary folder if not given. */
  readonly root?: string
  /** Added to the server's environment, such as LD_PRELOAD for another clock. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Any server that answers SQL; `PostgresServer` is one that we also control. */
export interface PostgresAddress {
  readonly url: string
}

const defaults: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // In files of the data directory: what a killed server leaves in /dev/shm would stay there.
  dynamic_shared_memory_type: 'mmap',
  log_timezone: 'UTC',
}

const startAttemptsMax = 3

/** A real server on a free port of 127.0.0.1, with data in a temporary folder. It ends when this process ends. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const version = options.version ?? 18
  const programs = await binaries(version)
  return await launch(options, async (dataDir) => {
    if (options.ownIdentity === true) await programs.initialise(dataDir)
    else await runCommand('cp', ['-Rp', programs.template, dataDir])
    const include = `${readFileSync(join(dataDir, 'postgresql.conf'), 'utf8')}\ninclude 'rig.conf'\n`
    writeOwned(join(dataDir, 'postgresql.conf'), include)
  })
}

/** Makes a server whose data directory `fill` brings, and starts it. */
export async function launch(
  options: PostgresOptions,
  fill: (dataDir: string) => Promise<void>,
): Promise<PostgresServer> {
  const version = options.version ?? 18
  const programs = await binaries(version)
  const home = new Home(options.root)
  try {
    await fill(join(home.folder, 'data'))
    // A disk of one's own is there to lose power: what the server starts from is not to be lost with it.
    if (options.root !== undefined) await runCommand('sync', ['-f', home.folder])
    const server = new PostgresServer(version, programs, home, options)
    await server.firstStart()
    return server
  } catch (error) {
    await home.remove()
    throw error
  }
}

/**
 * A server is UP or DOWN, or GONE with all its data.
 *  UP -> DOWN   `shutdown`, `kill9`
 *  DOWN -> UP   `start`, with the same data on the same port
 *  any -> GONE  `stop`
 */
export class PostgresServer implements PostgresAddress, AsyncDisposable {
  readonly version: PostgresVersion
  readonly dataDir: string
  readonly #programs: Binaries
  readonly #home: Home
  readonly #environment: Readonly<Record<string, string>>
  #settings: Settings
  #port = 0
  #child: ChildProcess | undefined

  constructor(version: PostgresVersion, programs: Binaries, home: Home, options: PostgresOptions) {
    this.version = version
    this.dataDir = join(home.folder, 'data')
    this.#programs = programs
    this.#home = home
    this.#environment = options.environment ?? {}
    this.#settings = { ...defaults, fsync: options.fsync ?? true, ...options.settings }
  }

  get port(): number {
    return this.#port
  }

  /** Of the superuser `postgres`, who needs no password, in the database `postgres`. */
  get url(): string {
    return this.urlOf('postgres')
  }

  urlOf(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/${database}`
  }

  /** Of the postmaster; `undefined` while the server is down. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What the server has printed, for a failed test. */
  get log(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  get #logFile(): string {
    return join(this.#home.folder, 'server.log')
  }

  /** Runs one statement in a connection of its own. */
  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return await queryOnce<Row>(this.url, text, values)
  }

  /** Another process may take the port between our look and the server's; then there is another port. */
  async firstStart(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#port = await freePort()
      try {
        await this.start()
        return
      } catch (error) {
        if (attempt === startAttemptsMax || !this.log.includes('Address already in use')) throw error
      }
    }
  }

  /** Resolves when the server takes connections: after recovery, if it was killed. */
  async start(settings: Settings = {}): Promise<void> {
    if (this.#child !== undefined) throw new Error('the server is running')
    this.#settings = { ...this.#settings, ...settings }
    writeOwned(join(this.dataDir, 'rig.conf'), linesOf({ ...this.#settings, port: this.#port }))
    const output = openSync(this.#logFile, 'a')
    const child = spawn(this.#programs.postgres, ['-D', this.dataDir], {
      ...runAs(),
      env: { ...process.env, ...this.#environment },
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    child.unref()
    this.#child = child
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    await once(child, 'spawn')
    await this.#ready(child)
  }

  /** As pg_ctl does it: the eighth line of postmaster.pid says when connections are taken. */
  async #ready(child: ChildProcess): Promise<void> {
    const answer = await until('the server is ready', () => {
      if (this.#child !== child) return 'ended'
      const lines = this.#pidFile()
      return lines[0] === String(child.pid) && lines[7]?.trim() === 'ready' ? 'ready' : undefined
    }).catch((error: unknown) => error)
    if (answer === 'ready') return
    throw new Error(`the server did not get ready:\n${this.log.slice(-4_000)}`, { cause: answer })
  }

  #pidFile(): string[] {
    try {
      return readFileSync(join(this.dataDir, 'postmaster.pid'), 'utf8').split('\n')
    } catch {
      return []
    }
  }

  /**
   * Ends the server and keeps its data. `smart` waits until all clients have left, `fast` rolls back what they do,
   * `immediate` is a crash of which the server knows.
   */
  async shutdown(mode: 'smart' | 'fast' | 'immediate' = 'fast'): Promise<void> {
    const signal = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
    await this.#end((pid) => process.kill(pid, signal[mode]))
  }

  /** Kills all processes of the server at once. Nothing is left that could finish a commit. */
  async kill9(): Promise<void> {
    let children: number[] = []
    await this.#end((pid) => {
      // Stopped first, so that it starts no other process while we look.
      process.kill(pid, 'SIGSTOP')
      children = childrenOf(pid)
      signalAll([...children, pid], 'SIGKILL')
    })
    await until('the backends are gone', () => !children.some(isAlive))
  }

  /**
   * Kills one backend. The postmaster then ends all others too, recovers, and takes connections again: waits for all of it,
   * as a connection of before may still answer a while.
   */
  async killBackend(pid: number): Promise<void> {
    const before = childrenOf(this.#requirePid())
    process.kill(pid, 'SIGKILL')
    await until('all backends of before are gone', () => !before.some(isAlive))
    await until('the server has recovered', () => this.query('select 1'))
  }

  async restart(settings: Settings = {}): Promise<void> {
    if (this.#child !== undefined) await this.shutdown()
    await this.start(settings)
  }

  /** Alive and silent: connections stay open, and the kernel still accepts new ones. */
  pause(): void {
    const pid = this.#requirePid()
    signalAll([pid], 'SIGSTOP')
    signalAll(childrenOf(pid), 'SIGSTOP')
  }

  resume(): void {
    const pid = this.#requirePid()
    signalAll([...childrenOf(pid), pid], 'SIGCONT')
  }

  /** Ends the server, if it runs, and removes its data. */
  async stop(): Promise<void> {
    if (this.#child !== undefined) {
      this.resume()
      await this.shutdown('immediate')
    }
    await this.#home.remove()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #requirePid(): number {
    const pid = this.pid
    if (pid === undefined) throw new Error('the server is down')
    return pid
  }

  async #end(signal: (pid: number) => void): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    const gone = once(child, 'exit')
    // A child that is only waited for keeps no process alive, and this one's end must be seen.
    child.ref()
    signal(child.pid)
    await gone
  }
}

/** Runs one statement in a connection of its own. */
export async function queryOnce<Row extends object>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  // An error outside of a query is also one of the query that comes next.
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query<Row>(text, [...values])).rows
  } finally {
    await client.end().catch(() => {})
  }
}

function linesOf(settings: Settings): string {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
  )
  return lines.join('')
}
