import type { Row, SqlStatement } from '../../engine/engine.ts'
import type { PgClient, PgQuery, PgQueryClass, PgWire } from './driver.ts'
import type { KeptStatements } from './kept-statements.ts'

/** The first mark of a row has a name of its own; all others share one, and the server finds the youngest. */
export const firstMark = 'semel_mark_0'
export const laterMark = 'semel_mark'

/**
 * Statements, each behind a savepoint of its own, sent in one write and answered in one: bind and execute for each, and
 * a single sync. After an error the server skips the rest until the sync, so nothing runs behind a failure.
 *
 * This is what the driver calls a submittable: it writes the messages, and the client brings the answers here in turn.
 */
export class StatementRow {
  /** Rows of each statement; `undefined` where one before it had failed, so that it did not run. */
  readonly answers: readonly Promise<readonly Row[] | undefined>[]
  /** When the server has answered all; rejects with the first failure. */
  readonly ended: Promise<void>
  readonly #release: boolean
  readonly #kept: KeptStatements
  readonly #texts: readonly string[]
  readonly #queries: PgQuery[]
  /** Whether the server was asked what rows the statement gives. */
  readonly #described: boolean[] = []
  readonly #skip: (() => void)[] = []
  #end: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined
  /** The statement that is answered now. */
  #current = 0
  /** Commands of ours that are answered before it. */
  #commands = 1
  #failure: { readonly error: unknown } | undefined

  /** `release`: lets go of the marks of the row before, first. */
  constructor(
    client: PgClient,
    Query: PgQueryClass,
    statements: readonly SqlStatement[],
    { release, kept }: { readonly release: boolean; readonly kept: KeptStatements },
  ) {
    this.#release = release
    this.#kept = kept
    this.#texts = statements.map(({ text }) => text)
    this.#commands = release ? 2 : 1
    const types = { getTypeParser: (oid: number, format?: string) => client.getTypeParser!(oid, format) }
    const queries: PgQuery[] = []
    this.answers = statements.map(({ text, params }) => {
      return new Promise((resolve, reject) => {
        this.#skip.push(() => resolve(undefined))
        const config = { text, values: params, types }
        const query = new Query(config, undefined, (error, result) => {
          // Asked for as objects: no row mode.
          if (!error) return resolve(result!.rows as Row[])
          this.#failure ??= { error }
          reject(error)
        })
        queries.push(query)
      })
    })
    // Whoever asks for an answer late shall find it handled.
    for (const answer of this.answers) answer.catch(() => undefined)
    this.#queries = queries
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
  }

  /** Which statement failed; none behind it ran. */
  get failedAt(): number | undefined {
    return this.#failure === undefined ? undefined : this.#current
  }

  /** Whether the mark before the statement that failed was not set either: there is nothing to come back to. */
  get isUnmarked(): boolean {
    return this.#failure !== undefined && this.#commands > 0
  }

  /** How many marks were set, once the row has ended. */
  get marks(): number {
    return this.#current + (this.#failure === undefined || this.isUnmarked ? 0 : 1)
  }

  submit(wire: PgWire): null {
    wire.stream.cork?.()
    try {
      if (this.#release) this.#kept.run(wire, `release savepoint ${firstMark}`)
      for (const [n, query] of this.#queries.entries()) {
        this.#kept.run(wire, `savepoint ${n === 0 ? firstMark : laterMark}`)
        query.submit(this.#wireOf(wire, n))
        // A parameter that the driver cannot send; the server will not hear of the rest.
        if (this.#failure !== undefined) break
      }
      wire.sync()
    } finally {
      wire.stream.uncork?.()
    }
    return null
  }

  handleRowDescription(message: unknown): void {
    const kept = this.#kept.find(this.#texts[this.#current]!)
    if (kept !== undefined) kept.rows = message
    this.#queries[this.#current]!.handleRowDescription(message)
  }

  handleDataRow(message: unknown): void {
    this.#describe()
    this.#queries[this.#current]!.handleDataRow(message)
  }

  handleCommandComplete(message: unknown, wire: PgWire): void {
    if (this.#commands > 0) this.#commands--
    else {
      this.#describe()
      const query = this.#queries[this.#current]!
      query.handleCommandComplete(message, withoutSync(wire))
      this.#next(query, wire)
    }
  }

  /** Tells a statement that the server has described before what its rows are. */
  #describe(): void {
    if (this.#described[this.#current]) return
    this.#described[this.#current] = true
    const rows = this.#kept.find(this.#texts[this.#current]!)?.rows
    if (rows !== undefined) this.#queries[this.#current]!.handleRowDescription(rows)
  }

  /** For the n-th statement: the sync is the row's, and what the server knows already is not sent again. */
  #wireOf(wire: PgWire, n: number): PgWire {
    const text = this.#texts[n]!
    const known = this.#kept.find(text)
    const kept = known ?? this.#kept.send(wire, text)
    this.#described[n] = known === undefined
    if (kept === undefined) return withoutSync(wire)
    return {
      ...withoutSync(wire),
      parse: () => undefined,
      bind: (message) => wire.bind({ ...message, statement: kept.name }),
      describe: (message) => {
        if (known === undefined) wire.describe(message)
      },
    }
  }

  handleEmptyQuery(wire: PgWire): void {
    this.#next(this.#queries[this.#current]!, wire)
  }

  handleCopyInResponse(wire: PgWire): void {
    this.#queries[this.#current]!.handleCopyInResponse(wire)
  }

  handleCopyData(): void {}

  handlePortalSuspended(): void {}

  /** From the server, or because the connection ended. */
  handleError(error: unknown, wire: PgWire): void {
    this.#failure = { error }
    this.#queries[this.#current]?.handleError(error, wire)
    this.#stop(error)
  }

  handleReadyForQuery(): void {
    if (this.#failure === undefined) this.#end()
    else this.#stop(this.#failure.error)
  }

  #stop(error: unknown): void {
    this.#kept.forget()
    for (const skip of this.#skip.slice(this.#current + 1)) skip()
    this.#fail(error)
  }

  #next(query: PgQuery, wire: PgWire): void {
    query.handleReadyForQuery(wire)
    this.#current++
    this.#commands = 1
  }
}

/** For a part of the row: the sync is the row's. */
function withoutSync(wire: PgWire): PgWire {
  return {
    stream: {},
    parsedStatements: {},
    submittedNamedStatements: {},
    parse: (message) => wire.parse(message),
    bind: (message) => wire.bind(message),
    describe: (message) => wire.describe(message),
    execute: (message) => wire.execute(message),
    close: () => undefined,
    sync: () => undefined,
    sendCopyFail: (message) => wire.sendCopyFail(message),
  }
}
