import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Row } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { crashPoint } from './crash-points.ts'
import { writeError } from './sqlite-errors.ts'
import type { Writer } from './writer.ts'
import type { SessionRequest, WriteReply } from './writer-protocol.ts'

/** Statements that would end or leave the transaction that is not theirs. */
const forbidden = /^(begin|commit|end|rollback|savepoint|release|attach|detach|pragma|vacuum)\b/i
const comments = /^(\s+|--[^\n]*(\n|$)|\/\*[\s\S]*?\*\/|;)+/

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

  /** Runs one request. `finish` and `rollback` end the session, whatever they answer. */
  run(request: SessionRequest): WriteReply {
    switch (request.op) {
      case 'begin':
        this.#writer.begin(true)
        crashPoint('session.begun')
        return undefined
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
    if (forbidden.test(text.replace(comments, ''))) {
      throw new SemelError('QUERY_FAILED', 'this statement would end the transaction it runs in', {
        field: 'text',
        hint: 'the unit commits by itself; throw in the handler to undo its statements',
      })
    }
    try {
      const statement = this.#database.prepare(text)
      const rows = statement.all(...params.map(toSqlValue))
      return rows.map((row) => ({ ...row }))
    } catch (error) {
      // SQLite's own text names tables and columns, never bound values.
      const reason = error instanceof Error ? error.message : String(error)
      throw new SemelError('QUERY_FAILED', `the statement failed: ${reason}`, { field: 'text', cause: error })
    }
  }

  #finish(unit: Extract<SessionRequest, { op: 'finish' }>['unit']): void {
    try {
      this.#writer.applyUnit(unit)
      this.#writer.tables.flush()
      crashPoint('session.before-commit')
    } catch (error) {
      this.#writer.rollback()
      throw writeError(error, this.#file, 'not-applied')
    }
    this.#writer.commitOrFail()
    crashPoint('session.committed')
  }
}

function toSqlValue(value: unknown): SQLInputValue {
  if (value === undefined) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value
  if (value instanceof Uint8Array) return value
  throw new SemelError('QUERY_FAILED', 'a parameter must be null, text, a number, a boolean or bytes', {
    field: 'params',
  })
}
