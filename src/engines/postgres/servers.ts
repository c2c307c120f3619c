import { isSemelError, SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { orAborted, sleep } from '../../platform/wait.ts'
import type { PgClient, PgPool } from './driver.ts'
import { failureOf, StatementFailure, translated } from './postgres-errors.ts'
import { postgresLimits } from './postgres-limits.ts'
import { askIdentity, type ServerIdentity, writableProblem } from './server-identity.ts'
import { Session } from './session.ts'

export interface ServersParts {
  /** One for each host of the address, in its order. */
  readonly pools: readonly PgPool[]
  /** Pools of ours are closed with the engine; a user's is not. */
  readonly ownsPools: boolean
  readonly platform: Platform
  readonly statementMs: number
  readonly reconnectMs: number
}

/** Told of every new connection to a server that can be written to, before anything else runs on it. */
export type Newcomer = (session: Session, server: ServerIdentity) => Promise<void>

/** SQLSTATEs of a refused connection that no waiting will change. */
const hopeless: ReadonlySet<string> = new Set(['28000', '28P01', '3D000', '42501'])

/**
 * Connections to the one host, of those given, that is a primary. Whoever needs a connection gets it here; a host that
 * is down, starting or a standby is passed over, round after round, until the deadline.
 */
export class Servers {
  readonly #parts: ServersParts
  readonly #greeted = new WeakSet<object>()
  #newcomer: Newcomer = async () => undefined
  #host = 0
  #closed = false
  connects = 0

  constructor(parts: ServersParts) {
    this.#parts = parts
    for (const pool of parts.pools) {
      pool.on('error', () => undefined)
      // The server's greeting and its end may come in one piece, before anybody who waits for the client has it.
      pool.on('connect', (client) => hearErrors(client))
    }
  }

  onNewcomer(newcomer: Newcomer): void {
    this.#newcomer = newcomer
  }

  /** A connection to a primary, for the caller alone. Rejects with a SemelError, `not-applied`. */
  async lease(signal?: AbortSignal): Promise<Session> {
    const { platform, reconnectMs, pools } = this.#parts
    const until = platform.clock.monotonic() + reconnectMs
    let pauseMs: number = postgresLimits.reconnectPauseMsMin
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      const session = await this.#tryHost(signal).catch((error: unknown) => error)
      if (session instanceof Session) return session
      const isLate = platform.clock.monotonic() + pauseMs >= until
      if (!isPassing(session) || this.#closed || isLate) throw unavailable(session, pools.length)
      this.#host = (this.#host + 1) % pools.length
      if (attempt % pools.length !== 0) continue
      await sleep(platform, pauseMs * (0.5 + platform.random.fraction() / 2), signal)
      pauseMs = Math.min(postgresLimits.reconnectPauseMsMax, pauseMs * 2)
    }
  }

  /** Borrows a connection for some work. */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.lease()
    try {
      return await work(session)
    } finally {
      session.release()
    }
  }

  /** Borrows a connection for work that changes nothing. Where the connection is lost, the work begins again on another. */
  async read<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return await this.#whileLost(() => this.use(work))
  }

  /** A connection on which `start` has worked. Where one is lost before that, another is tried. */
  async leaseStarted<T>(
    start: (session: Session) => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly session: Session; readonly started: T }> {
    return await this.#whileLost(async () => {
      const session = await this.lease(signal)
      try {
        return { session, started: await start(session) }
      } catch (error) {
        session.destroy()
        throw error
      }
    }, signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    if (!this.#parts.ownsPools) return
    await Promise.all(this.#parts.pools.map((pool) => pool.end()))
  }

  /** Tries again for as long as an operation waits for a server. */
  async #whileLost<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { platform, reconnectMs } = this.#parts
    const until = platform.clock.monotonic() + reconnectMs
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const isLost = error instanceof StatementFailure && error.isLost
        if (!isLost || this.#closed || platform.clock.monotonic() >= until) throw error
        await sleep(platform, postgresLimits.reconnectPauseMsMin, signal)
      }
    }
  }

  async #tryHost(signal: AbortSignal | undefined): Promise<Session> {
    const { platform, pools, statementMs } = this.#parts
    const client = await this.#connect(pools[this.#host]!, signal)
    const session = new Session(client, platform, statementMs)
    if (this.#greeted.has(client)) return session
    hearErrors(client)
    try {
      const server = await askIdentity(session)
      const problem = writableProblem(server)
      if (problem !== undefined) throw problem
      await this.#newcomer(session, server)
    } catch (error) {
      session.destroy()
      throw error
    }
    this.#greeted.add(client)
    this.connects++
    return session
  }

  /** A connection that comes too late for its caller goes back to the pool. */
  async #connect(pool: PgPool, signal: AbortSignal | undefined): Promise<PgClient> {
    const connecting = pool.connect().catch(refused)
    try {
      return await orAborted(connecting, signal)
    } catch (error) {
      if (signal?.aborted) connecting.then((client) => client.release()).catch(() => undefined)
      throw error
    }
  }
}

/** An end outside of a statement is an event, and one that nobody listens to would end the program. */
function hearErrors(client: PgClient): void {
  client.on('error', () => undefined)
}

function refused(error: unknown): never {
  throw failureOf(error)
}

function isPassing(error: unknown): boolean {
  if (error instanceof StatementFailure) return !hopeless.has(error.sqlState ?? '')
  return isSemelError(error) && error.retryable
}

function unavailable(error: unknown, hosts: number): unknown {
  if (isSemelError(error) || !(error instanceof StatementFailure)) return error
  if (error.sqlState !== undefined && hopeless.has(error.sqlState))
    return translated(error, 'connecting', false)
  const which = hosts === 1 ? 'the server' : `any of ${hosts} servers`
  return new SemelError('ENGINE_UNAVAILABLE', `could not connect to ${which}: ${error.message}`, {
    retryable: true,
    hint: 'is the server running, and does it allow another connection?',
  })
}
