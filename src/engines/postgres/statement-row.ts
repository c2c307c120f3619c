import type { Row, SqlStatement, StatementAnswer } from '../../engine/engine.ts'
import type { PgClient, PgQuery, PgQueryClass, PgWire, ValueMapper } from './driver.ts'
import type { KeptStatement, KeptStatements } from './kept-statements.ts'
import { inOneWrite } from './one-write.ts'
import { queryFailed, unsendable } from './postgres-errors.ts'

/** The first mark of a row has a name of its own; all others share one, and the server finds the youngest. */
export const firstMark = 'semel_mark_0'
export const laterMark = 'semel_mark'

/** What a row of statements needs of its connection. */
export interface RowContext {
  readonly client: PgClient
  readonly Query: PgQueryClass
  readonly mapper: ValueMapper
  readonly kept: KeptStatements
}

/** A statement of the row, from its sending to its answer. */
interface Part {
  readonly statement: SqlStatement
  answer: StatementAnswer
  /** A mark is set before it. */
  isMarked: boolean
  /** What the server keeps of it; `undefined` if it is parsed for this time only. */
  kept: KeptStatement | undefined
  /** Collects its rows; there is none before any are expected. */
  query: PgQuery | undefined
}

/**
 * Statements sent in one write and answered in one: bind and execute for each, and a single sync. After an error the
 * server skips the rest until the sync, so nothing runs behind a failure.
 *
 * A mark, which costs the server more than a small statement does, is set before the first, and behind each that gives
 * rows or may. What gives none can be run again, should one behind it have to be undone: who asked for it saw nothing
 * that could be different then.
 *
 * This is what the driver calls a submittable: it writes the messages, and the client brings the answers here in turn.
 */
export class StatementRow {
  /** When the server has answered all; rejects with the first failure. */
  readonly ended: Promise<void>
  readonly #context: RowContext
  /** Sent first. */
  readonly #commands: readonly string[]
  readonly #parts: readonly Part[]
  #end: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined
  /** The statement that is answered now. */
  #current = 0
  /** Commands of ours that are answered before it. */
  #commandsLeft: number
  #failure: { readonly error: unknown } | undefined

  /** `commands` are sent first; one of them sets the first mark, unless there is one already. */
  constructor(context: RowContext, statements: readonly SqlStatement[], commands: readonly string[]) {
    this.#context = context
    this.#commands = commands
    this.#commandsLeft = commands.length
    this.#parts = statements.map((statement) => ({
      statement,
      answer: undefined,
      isMarked: false,
      kept: undefined,
      query: undefined,
    }))
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
  }

  get answers(): readonly StatementAnswer[] {
    return this.#parts.map(({ answer }) => answer)
  }

  /** The answers when the row has ended with this error. */
  answersAfter(error: unknown): readonly StatementAnswer[] {
    const failed = this.#parts[this.#current]
    if (failed !== undefined) failed.answer ??= queryFailed(error)
    return this.answers
  }

  /** Which statement failed; none behind it ran. */
  get failedAt(): number | undefined {
    return this.#failure === undefined ? undefined : this.#current
  }

  /** Whether not even what comes before the first statement worked: there is nothing to come back to. */
  get isUnmarked(): boolean {
    return this.#failure !== undefined && this.#current === 0 && this.#commandsLeft > 0
  }

  /** The places of the marks that were set, once the row has ended: the first, and those before later statements. */
  get marks(): readonly number[] {
    const marks = [0]
    for (let n = 1; n < this.#parts.length && n <= this.#current; n++) {
      const isSet = n < this.#current || this.#commandsLeft === 0
      if (this.#parts[n]!.isMarked && isSet) marks.push(n)
    }
    return marks
  }

  submit(wire: PgWire): null {
    inOneWrite(wire, (gathering) => this.#compose(gathering))
    return null
  }

  #compose(wire: PgWire): void {
    for (const command of this.#commands) this.#context.kept.run(wire, command)
    let isSafe = true
    for (const part of this.#parts) {
      part.isMarked = !isSafe
      if (part.isMarked) this.#context.kept.run(wire, `savepoint ${laterMark}`)
      isSafe = this.#send(wire, part)
      // A parameter that the driver cannot send; the server will not hear of the rest.
      if (this.#failure !== undefined) break
    }
    wire.sync()
  }

  /** Answers whether it gives no rows, as the server has told before. */
  #send(wire: PgWire, part: Part): boolean {
    const { text, params } = part.statement
    const { kept, mapper } = this.#context
    const known = kept.find(text)
    part.kept = known ?? kept.send(wire, text)
    if (part.kept === undefined) wire.parse({ text })
    try {
      wire.bind({ statement: part.kept?.name, values: params, valueMapper: mapper })
    } catch (error) {
      this.#failure = { error: unsendable(error) }
      return false
    }
    if (known === undefined) wire.describe({ type: 'P' })
    wire.execute({})
    return known?.isDescribed === true && known.rows === undefined
  }

  handleRowDescription(message: unknown): void {
    const part = this.#parts[this.#current]!
    if (part.kept !== undefined) part.kept.rows = message
    this.#queryOf(part, message)
  }

  handleDataRow(message: unknown): void {
    const part = this.#parts[this.#current]!
    this.#queryOf(part, part.kept?.rows).handleDataRow(message)
  }

  handleCommandComplete(message: unknown, wire: PgWire): void {
    if (this.#commandsLeft > 0) {
      this.#commandsLeft--
      return
    }
    const part = this.#parts[this.#current]!
    if (part.kept !== undefined) part.kept.isDescribed = true
    if (part.query === undefined) part.answer = []
    else {
      part.query.handleCommandComplete(message, wire)
      part.query.handleReadyForQuery(wire)
    }
    this.#next()
  }

  /** The driver's own statement, which makes rows of what comes. */
  #queryOf(part: Part, description: unknown): PgQuery {
    if (part.query !== undefined) return part.query
    const { client, Query } = this.#context
    const types = { getTypeParser: (oid: number, format?: string) => client.getTypeParser!(oid, format) }
    // Asked for as objects: no row mode.
    part.query = new Query({ text: part.statement.text, types }, undefined, (error, result) => {
      if (error) this.#failure ??= { error }
      part.answer = error ? queryFailed(error) : (result!.rows as Row[])
    })
    part.query.handleRowDescription(description)
    return part.query
  }

  handleEmptyQuery(): void {
    this.#parts[this.#current]!.answer = []
    this.#next()
  }

  handleCopyInResponse(wire: PgWire): void {
    wire.sendCopyFail('a statement of a handler cannot copy from its program')
  }

  handleCopyData(): void {}

  handlePortalSuspended(): void {}

  /** From the server, or because the connection ended. */
  handleError(error: unknown): void {
    this.#failure = { error }
    this.#stop(error)
  }

  handleReadyForQuery(): void {
    if (this.#failure === undefined) this.#end()
    else this.#stop(this.#failure.error)
  }

  #stop(error: unknown): void {
    this.#context.kept.forget()
    this.#fail(error)
  }

  #next(): void {
    this.#current++
    this.#commandsLeft = this.#parts[this.#current]?.isMarked === true ? 1 : 0
  }
}
