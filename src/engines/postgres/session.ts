import type { Platform } from '../../platform/platform.ts'
import { orLate } from '../../platform/wait.ts'
import type { PgClient, PgResult } from './driver.ts'
import { failureOf, StatementFailure } from './postgres-errors.ts'

/** Values come as the server's text: whatever parsers the user set for the driver do not concern us. */
const plainText = { getTypeParser: () => (value: string) => value }

export type TextRow = readonly (string | null)[]

/** One connection, ours until it is released. Every statement ends in time or takes the connection with it (U3). */
export class Session {
  readonly client: PgClient
  readonly #platform: Platform
  readonly #statementMs: number
  #isBroken = false
  #released = false

  constructor(client: PgClient, platform: Platform, statementMs: number) {
    this.client = client
    this.#platform = platform
    this.#statementMs = statementMs
  }

  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Rows as arrays of text. Unnamed statements only: a pooler may give every transaction another session (Q9). */
  async rows(text: string, values: readonly unknown[] = []): Promise<readonly TextRow[]> {
    const statement = { text, values, rowMode: 'array', types: plainText } as const
    const { rows } = await this.run(() => this.client.query(statement))
    // Asked for as arrays of text in the statement above.
    return rows as readonly TextRow[]
  }

  /** Statements without values, in one round trip. Answers the command tag of the last. */
  async command(text: string): Promise<string> {
    const result: PgResult | readonly PgResult[] = await this.run(() => this.client.query(text))
    return Array.isArray(result) ? result.at(-1).command : (result as PgResult).command
  }

  /** Runs something on the client within the deadline. A failure that ends the connection marks it broken. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await orLate(this.#platform, work(), this.#statementMs, () => this.#late())
    } catch (error) {
      const failure = failureOf(error)
      if (failure.isLost) this.destroy()
      throw error instanceof StatementFailure ? error : Object.assign(failure, { cause: undefined })
    }
  }

  /** Whether a transaction is open, by the server's last word. */
  get isInTransaction(): boolean {
    const status = this.client.getTransactionStatus?.()
    return status === 'T' || status === 'E'
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    if (!this.#isBroken && this.isInTransaction) this.#isBroken = true
    this.client.release(this.#isBroken)
  }

  /** Cuts the connection without asking the server, which may be a black hole. */
  destroy(): void {
    this.#isBroken = true
    this.client.connection?.stream?.destroy()
    this.release()
  }

  #late(): StatementFailure {
    this.destroy()
    return new StatementFailure(`no answer within ${this.#statementMs} ms`, undefined, true)
  }
}
