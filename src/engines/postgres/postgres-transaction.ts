import type { Row, SqlStatement, StatementAnswer, Unit, UnitTransaction } from '../../engine/engine.ts'
import { isSemelError, SemelError } from '../../errors.ts'
import { queryClassOf, valueMapperOf } from './driver.ts'
import { KeptStatements } from './kept-statements.ts'
import { queryFailed, translated, unsendable } from './postgres-errors.ts'
import type { Session } from './session.ts'
import { firstMark, laterMark, type RowContext, StatementRow } from './statement-row.ts'
import { commit, rollback } from './transaction.ts'
import { unitRequest } from './write-requests.ts'
import type { WriteRound } from './write-round.ts'
import type { Writer } from './writer.ts'

const markSql = `savepoint ${firstMark}`
const releaseSql = `release savepoint ${firstMark}`

/**
 * A user's transaction: BEGIN was sent, statements run, and the unit is written by the same statement as any other,
 * just before COMMIT. No lock of ours is held until then, so a slow handler keeps nobody waiting.
 */
export class PostgresTransaction implements UnitTransaction {
  readonly #session: Session
  readonly #writer: Writer
  readonly #onEnd: () => void
  /** The server's number of this transaction, to notice if user code ended it and began another. */
  readonly #id: string
  readonly #kept = new KeptStatements()
  /** Places of the marks that are set, each inside of the one before: the first, and those of statements that ran ahead. */
  #marks: readonly number[] = []
  /** What ran ahead since the first mark. */
  #ahead: readonly SqlStatement[] = []
  /** The row in which it ran, until its marks are known. */
  #row: StatementRow | undefined

  constructor(session: Session, id: string, writer: Writer, onEnd: () => void) {
    this.#session = session
    this.#id = id
    this.#writer = writer
    this.#onEnd = onEnd
  }

  get client(): unknown {
    this.#kept.forget()
    return this.#session.client
  }

  async query(text: string, params: readonly unknown[]): Promise<readonly Row[]> {
    // What changes tables takes no parameters.
    if (params.length === 0) this.#kept.forget()
    try {
      const values = this.#sendable(params)
      const result = await this.#session.run(() => this.#session.client.query(text, values))
      this.#requireOpen()
      // Without `rowMode`, the driver gives rows as objects.
      return result.rows as readonly Row[]
    } catch (error) {
      throw queryFailed(error)
    }
  }

  /** Parameters as the driver sends them. What it cannot send is the caller's mistake, not the connection's end. */
  #sendable(params: readonly unknown[]): readonly unknown[] {
    const mapper = this.#rowContext()?.mapper
    if (mapper === undefined) return params
    try {
      return params.map(mapper)
    } catch (error) {
      throw unsendable(error)
    }
  }

  get queryAhead(): UnitTransaction['queryAhead'] {
    const context = this.#rowContext()
    return context === undefined ? undefined : (statements) => this.#runAhead(context, statements)
  }

  /** `undefined` if the client is not the driver's own. */
  #rowContext(): RowContext | undefined {
    const { client } = this.#session
    const Query = queryClassOf(client)
    const mapper = Query === undefined ? undefined : valueMapperOf(Query)
    if (Query === undefined || mapper === undefined) return undefined
    return { client, Query, mapper, kept: this.#kept }
  }

  async #runAhead(
    context: RowContext,
    statements: readonly SqlStatement[],
  ): Promise<readonly StatementAnswer[]> {
    const row = new StatementRow(
      context,
      statements,
      this.#marks.length > 0 ? [releaseSql, markSql] : [markSql],
    )
    this.#marks = [0]
    this.#ahead = statements
    this.#row = row
    try {
      await this.#send(row)
      return row.answers
    } catch (error) {
      return row.answersAfter(error)
    }
  }

  /** Resolves when the server has answered all of it. */
  #send(row: StatementRow): Promise<void> {
    return this.#session.run(() => {
      this.#session.client.query(row)
      return row.ended
    })
  }

  async mark(): Promise<void> {
    await this.#command(this.#marks.length > 0 ? `${releaseSql}; ${markSql}` : markSql)
    this.#marks = [0]
    this.#ahead = []
    this.#row = undefined
  }

  async restore(from = 0): Promise<void> {
    const row = this.#row
    if (row !== undefined) {
      await row.ended.catch(() => undefined)
      if (row.failedAt !== undefined) {
        // What is behind a failure did not run.
        if (row.failedAt < from) return
        // The transaction had failed before, and somebody kept that: an older mark would undo what others did.
        if (row.isUnmarked) throw queryFailed(await row.ended.catch((error) => error))
      }
      this.#marks = row.marks
      this.#row = undefined
    }
    if (this.#marks.length === 0) return
    const back = this.#marks.findLastIndex((place) => place <= from)
    await this.#command(restoreSql(this.#marks.length, back))
    this.#marks = this.#marks.slice(0, back + 1)
    const again = this.#ahead.slice(this.#marks.at(-1), from)
    this.#ahead = this.#ahead.slice(0, from)
    if (again.length > 0) await this.#runAgain(again)
  }

  /**
   * Statements that are to be kept, and were undone because there was no mark behind them. They give no rows, so who
   * asked for them saw what is still true. If one fails this time, somebody else was faster, and the unit must end.
   */
  async #runAgain(statements: readonly SqlStatement[]): Promise<void> {
    const row = new StatementRow(this.#rowContext()!, statements, [])
    try {
      await this.#send(row)
      const first = this.#marks.at(-1)!
      this.#marks = [...this.#marks, ...row.marks.slice(1).map((place) => first + place)]
    } catch (error) {
      await rollback(this.#session)
      throw queryFailed(error)
    }
  }

  async commit(unit: Unit): Promise<void> {
    try {
      await this.#finish(unit)
    } finally {
      this.#end()
    }
  }

  async rollback(): Promise<void> {
    await rollback(this.#session)
    this.#end()
  }

  async #finish(unit: Unit): Promise<void> {
    const { request, answer } = unitRequest(unit)
    // Its refusal is our answer; whoever looks at it later shall find it handled.
    answer.catch(() => undefined)
    const round = this.#writer.newRound([request])
    try {
      this.#requireOpen()
      await this.#writer.prepare(round)
      await this.#requireSame()
      const topics = new Set(unit.appends.map(({ topic }) => topic))
      await this.#writer.inTurn(topics, () => this.#write(round, answer))
    } catch (error) {
      if (this.#session.isInTransaction) await rollback(this.#session)
      throw isSemelError(error) ? error : translated(error, 'committing a user transaction', false)
    }
  }

  /** Ends the transaction in any case: its locks are not to outlive its turn. */
  async #write(round: WriteRound, answer: Promise<void>): Promise<void> {
    try {
      const written = await this.#writer.writeInside(this.#session, round)
      if (written === undefined) return await answer
      const conflict = written.planned[0]!.plan.failures.get(0)
      if (conflict !== undefined) throw conflict
      await commitOrUnknown(this.#session)
      round.settle(written)
      round.answer(written)
      this.#writer.noteWritten(written)
    } finally {
      if (this.#session.isInTransaction) await rollback(this.#session)
    }
  }

  async #command(text: string): Promise<void> {
    try {
      await this.#session.command(text)
    } catch (error) {
      throw queryFailed(error)
    }
  }

  /** After an error the server only waits for ROLLBACK, but the transaction is still there. */
  #requireOpen(): void {
    if (this.#session.isInTransaction) return
    throw new SemelError('QUERY_FAILED', 'the statement ended the transaction it ran in', { field: 'text' })
  }

  async #requireSame(): Promise<void> {
    const [row] = await this.#session.rows('select pg_catalog.now()')
    if (row![0] === this.#id) return
    throw new SemelError('QUERY_FAILED', 'user code ended the transaction and began another', {
      field: 'text',
    })
  }

  #end(): void {
    this.#session.release()
    this.#onEnd()
  }
}

/** Back to one of the marks: to the youngest first, which is all that a transaction that has failed allows. */
function restoreSql(marks: number, to: number): string {
  if (to === 0) return `rollback to savepoint ${firstMark}`
  const back = `rollback to savepoint ${laterMark}`
  return [back, ...Array(marks - 1 - to).fill(`release savepoint ${laterMark}; ${back}`)].join('; ')
}

async function commitOrUnknown(session: Session): Promise<void> {
  try {
    await commit(session)
  } catch (error) {
    throw translated(error, 'committing a user transaction', true)
  }
}
