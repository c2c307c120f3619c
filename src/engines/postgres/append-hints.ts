import type { Platform } from '../../platform/platform.ts'
import { orAborted, sleep } from '../../platform/wait.ts'
import type { PgNotification } from './driver.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { Servers } from './servers.ts'
import type { Session } from './session.ts'

export interface AppendHintsParts {
  readonly servers: Servers
  readonly platform: Platform
  /** One per log. */
  readonly channel: string
  /** Events may have come from another process. */
  readonly onHint: () => void
}

/**
 * Shortens the wait for events of other processes by NOTIFY. A hint may be missed, come twice or come late: readers poll
 * all the same, and nothing is decided by one.
 *
 * A hint is a transaction of its own, sent after the write was acknowledged: the commit of a NOTIFY waits for all others
 * of the database, and no publish shall. However much is written, there is one in `hintGapMs`.
 */
export class AppendHints {
  readonly #parts: AppendHintsParts
  readonly #own: string
  readonly #closing = new AbortController()
  #listening: Promise<void> | undefined
  #sending: Promise<void> | undefined
  #isWanted = false

  constructor(parts: AppendHintsParts) {
    this.#parts = parts
    this.#own = `${parts.platform.random.uint32()}`
  }

  /** From now on, one connection is kept for hearing hints. */
  listen(): void {
    if (this.#closing.signal.aborted) return
    this.#listening ??= this.#listen()
  }

  /** This process has written something. */
  send(): void {
    this.#isWanted = true
    this.#sending ??= this.#send()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all([this.#listening, this.#sending])
  }

  async #listen(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      await this.#hear().catch(() => undefined)
      await this.#pause(postgresLimits.hintReconnectMs)
    }
  }

  /** Until the connection ends, or we do. */
  async #hear(): Promise<void> {
    const { servers, channel, onHint } = this.#parts
    const { signal } = this.#closing
    const session = await servers.lease(signal)
    try {
      const ended = whenEnded(session)
      session.client.on('notification', ({ payload }: PgNotification) => {
        if (payload !== this.#own) onHint()
      })
      await session.command(`listen "${channel}"`)
      // Whatever came before we could hear of it.
      onHint()
      await orAborted(ended, signal)
    } finally {
      session.destroy()
    }
  }

  async #send(): Promise<void> {
    const { servers, channel } = this.#parts
    const { signal } = this.#closing
    while (this.#isWanted && !signal.aborted) {
      this.#isWanted = false
      const session = await servers.lease(signal).catch(() => undefined)
      await session?.rows(hintSql, [channel, this.#own]).catch(() => undefined)
      session?.release()
      await this.#pause(postgresLimits.hintGapMs)
    }
    this.#sending = undefined
  }

  async #pause(ms: number): Promise<void> {
    await sleep(this.#parts.platform, ms, this.#closing.signal).catch(() => undefined)
  }
}

/** Without waiting for the disk: a hint that a crash takes away is missed by nobody. */
const hintSql = `select pg_catalog.set_config('synchronous_commit', 'off', true), pg_catalog.pg_notify($1, $2)`

function whenEnded({ client }: Session): Promise<void> {
  return new Promise((resolve) => {
    client.on('error', () => resolve())
    client.on('end', () => resolve())
  })
}
