import { constants, type DatabaseSync, type StatementSync } from 'node:sqlite'
import { SemelError } from '../../errors.ts'

/** Statements that would end or leave the transaction that is not theirs. */
const forbiddenWord = /^(begin|commit|end|rollback|savepoint|release|attach|detach|pragma|vacuum)\b/i
const leading = /^(\s+|--[^\n]*(\n|$)|\/\*[\s\S]*?\*\/|;)+/
const trailing = /^(\s+|--[^\n]*(\n|$)|\/\*[\s\S]*?(\*\/|$)|;)*$/
const reservedName = /^semel_/i

/**
 * Prepares one statement of the user's. It may do what it likes with tables of the user's own; Semel's tables it can
 * only read, and the transaction it runs in it cannot end. Where the driver has an authorizer, SQLite itself
 * enforces that, triggers and views included.
 */
export function checkStatement(database: DatabaseSync, text: string): StatementSync {
  if (forbiddenWord.test(text.replace(leading, ''))) throw refused()
  const statement = prepareGuarded(database, text)
  const rest = text.trimStart().slice(statement.sourceSQL.trimStart().length)
  if (trailing.test(rest)) return statement
  throw new SemelError('QUERY_FAILED', 'one call runs one statement', {
    field: 'text',
    hint: 'call tx.query once for each statement',
  })
}

function prepareGuarded(database: DatabaseSync, text: string): StatementSync {
  // Node 22 has none; there the word check above and the check of what is left of the transaction must do.
  if (typeof database.setAuthorizer !== 'function') return database.prepare(text)
  let refusal: SemelError | undefined
  database.setAuthorizer((action, first, second) => {
    refusal = objection(action, first, second)
    return refusal === undefined ? constants.SQLITE_OK : constants.SQLITE_DENY
  })
  try {
    return database.prepare(text)
  } catch (error) {
    throw refusal ?? error
  } finally {
    database.setAuthorizer(null)
  }
}

function objection(action: number, first: string | null, second: string | null): SemelError | undefined {
  switch (action) {
    case constants.SQLITE_TRANSACTION:
    case constants.SQLITE_SAVEPOINT:
    case constants.SQLITE_ATTACH:
    case constants.SQLITE_DETACH:
    case constants.SQLITE_PRAGMA:
      return refused()
    case constants.SQLITE_INSERT:
    case constants.SQLITE_UPDATE:
    case constants.SQLITE_DELETE:
    case constants.SQLITE_CREATE_TABLE:
    case constants.SQLITE_CREATE_VIEW:
    case constants.SQLITE_DROP_TABLE:
    case constants.SQLITE_DROP_VIEW:
      return first !== null && isSemels(first) ? reserved(first) : undefined
    case constants.SQLITE_CREATE_INDEX:
    case constants.SQLITE_CREATE_TRIGGER:
    case constants.SQLITE_DROP_INDEX:
    case constants.SQLITE_DROP_TRIGGER:
    case constants.SQLITE_ALTER_TABLE:
      return second !== null && isSemels(second) ? reserved(second) : undefined
    default:
      return undefined
  }
}

function isSemels(table: string): boolean {
  return reservedName.test(table)
}

function refused(): SemelError {
  return new SemelError(
    'QUERY_FAILED',
    'this statement would change the transaction or connection it runs in',
    {
      field: 'text',
      hint: 'the unit commits by itself; throw in the handler to undo its statements',
    },
  )
}

function reserved(table: string): SemelError {
  return new SemelError('QUERY_FAILED', `table ${table} is Semel's own and can only be read`, {
    field: 'text',
    hint: 'names that begin with semel_ are reserved',
  })
}
