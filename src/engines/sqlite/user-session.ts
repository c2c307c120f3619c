import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Row } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { crashPoint } from './crash-points.ts'
import { isFatal } from './sqlite-errors.ts'
import { checkStatement } from './user-statement.ts'
import type { Writer } from './writer.ts'
import type { SessionRequest, WriteReply } from './writer-protocol.ts'

/** The open transaction that holds a task's user SQL. One at a time; other writes of the process wait for it. */
export class UserSession {
  readonly #database: DatabaseSync
  readonly #writer: Writer
  readonly #file: string
  #marked = false

  constructor(database: DatabaseSync, writer: Writer, file: string) {
    this.#database = database
    this.#writer = writer
    this.#file = file
  }

  begin(nowMs: number): void {
    try {
      this.#writer.begin(true, nowMs)
    } catch (error) {
      this.#writer.rollback()
      throw this.#writer.failure(error)
    }
    crashPoint('session.begun')
  }

  /** Runs one request. `finish` and `rollback` end the session, whatever they answer. */
  run(request: Exclude<SessionRequest, { op: 'begin' }>): WriteReply {
    switch (request.op) {
      case 'query':
        return this.#query(request.text, request.params)
      case 'mark':
        if (this.#marked) this.#database.exec('release semel_mark')
        this.#database.exec('savepoint semel_mark')
        this.#marked = true
        return undefined
      case 'restore':
        if (this.#marked) this.#database.exec('rollback to semel_mark')
        return undefined
      case 'finish':
        this.#finish(request.unit)
        return undefined
      case 'rollback':
        this.#writer.rollback()
        return undefined
    }
  }

  #query(text: string, params: readonly unknown[]): readonly Row[] {
    const values = params.map(toSqlValue)
    let rows: readonly Row[]
    try {
      const statement = checkStatement(this.#database, text)
      rows = statement.all(...values).map((row) => ({ ...row }))
    } catch (error) {
      if (isFatal(error)) {
        this.#writer.rollback()
        throw this.#writer.failure(error)
      }
      throw queryFailed(error)
    }
    if (this.#database.isTransaction) return rows
    this.#writer.rollback()
    throw new SemelError('QUERY_FAILED', 'the statement ended the transaction it ran in', { field: 'text' })
  }

  #finish(unit: Extract<SessionRequest, { op: 'finish' }>['unit']): void {
    try {
      this.#writer.applyUnit(unit)
      crashPoint('session.before-commit')
      this.#writer.commit()
    } catch (error) {
      this.#writer.rollback()
      throw this.#writer.failure(error)
    }
    crashPoint('session.committed')
  }

  get file(): string {
    return this.#file
  }
}

/** SQLite's own texts name tables and columns, never bound values. */
function queryFailed(error: unknown): SemelError {
  if (error instanceof SemelError) return error
  const reason = error instanceof Error ? error.message : 'unknown reason'
  return new SemelError('QUERY_FAILED', `the statement failed: ${reason}`, { field: 'text', cause: error })
}

function toSqlValue(value: unknown, index: number): SQLInputValue {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value
  if (value instanceof Uint8Array) return value
  throw new SemelError(
    'QUERY_FAILED',
    'a parameter is null, a string, a number, a bigint, a boolean or bytes',
    {
      field: 'params',
      index,
    },
  )
}
