import { type ErrorCode, isSemelError, type Outcome, SemelError } from '../../errors.ts'

/**
 * A statement that failed, in our own words: the driver's errors may carry the client, and with it the password.
 *
 * `refused`: the server answered with an error and rolled back, so nothing happened.
 * `lost`: the connection ended, or nobody answered in time; what was sent may have happened.
 */
export class StatementFailure extends Error {
  override readonly name = 'StatementFailure'
  readonly sqlState: string | undefined
  readonly isLost: boolean

  constructor(message: string, sqlState: string | undefined, isLost: boolean) {
    super(message)
    this.sqlState = sqlState
    this.isLost = isLost
  }

  /** The server gave up for a reason that passes: the same statement may work at once. */
  get isPassing(): boolean {
    return !this.isLost && passing.has(this.sqlState ?? '')
  }
}

/** serialization failure, deadlock, lock timeout, statement timeout or cancel */
const passing: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', '57014'])

export const isolationHint = "alter role … set default_transaction_isolation = 'read committed'"

/** SQLSTATEs that have a code of their own (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
const codes: Readonly<Record<string, { code: ErrorCode; retryable: boolean; hint?: string }>> = {
  '25006': {
    code: 'STORAGE_READ_ONLY',
    retryable: true,
    hint: 'the server or the database is read-only now',
  },
  '28000': { code: 'ENGINE_UNAVAILABLE', retryable: false, hint: 'check user and pg_hba.conf' },
  '28P01': { code: 'ENGINE_UNAVAILABLE', retryable: false, hint: 'check user and password' },
  '3D000': { code: 'ENGINE_UNAVAILABLE', retryable: false, hint: 'create the database first' },
  '42501': {
    code: 'ENGINE_FAILED',
    retryable: false,
    hint: 'grant the role what docs/how-to/run-on-postgres.md lists',
  },
  '42P01': {
    code: 'ENGINE_FAILED',
    retryable: false,
    hint: 'a table of the schema is gone; nothing was created anew',
  },
  '53100': { code: 'STORAGE_FULL', retryable: true, hint: 'free space on the server, then publish again' },
  '53200': { code: 'ENGINE_UNAVAILABLE', retryable: true },
  '53300': { code: 'ENGINE_UNAVAILABLE', retryable: true, hint: 'the server has too many connections' },
  /** Of our own function `write`. */
  SM001: { code: 'UNSAFE_SETTING', retryable: false, hint: isolationHint },
  XX001: { code: 'STORAGE_CORRUPT', retryable: false },
  XX002: { code: 'STORAGE_CORRUPT', retryable: false },
}

/** What the driver threw, as a failure of ours. FATAL ends the session, maybe just after a commit. */
export function failureOf(error: unknown): StatementFailure {
  if (error instanceof StatementFailure) return error
  const text = error instanceof Error ? error.message : 'unknown error'
  const state = memberOf(error, 'code')
  const severity = memberOf(error, 'severity')
  const isFromServer = severity !== undefined && /^[0-9A-Z]{5}$/.test(state ?? '')
  if (!isFromServer)
    return new StatementFailure(state === undefined ? text : `${state}: ${text}`, undefined, true)
  const isFatal =
    severity === 'FATAL' || severity === 'PANIC' || state!.startsWith('57P') || state!.startsWith('08')
  return new StatementFailure(text, state, isFatal)
}

/** Thrown while the driver wrote a user's values: nothing was sent. */
export function unsendable(error: unknown): StatementFailure {
  const text = error instanceof Error ? error.message : String(error)
  return new StatementFailure(`a parameter cannot be sent: ${text}`, undefined, false)
}

function memberOf(error: unknown, name: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const value = Reflect.get(error, name)
  return typeof value === 'string' ? value : undefined
}

/** The error for a caller. `wrote`: the statement may have changed something if its answer was lost. */
export function translated(error: unknown, doing: string, wrote: boolean): Error {
  if (!(error instanceof StatementFailure)) return error instanceof Error ? error : new Error(String(error))
  const outcome: Outcome = error.isLost && wrote ? 'unknown' : 'not-applied'
  const known = codes[error.sqlState ?? '']
  const reason =
    error.sqlState === undefined ? error.message : `${error.message} (SQLSTATE ${error.sqlState})`
  const code = known?.code ?? (error.isLost || error.isPassing ? 'ENGINE_UNAVAILABLE' : 'ENGINE_FAILED')
  return new SemelError(code, `${doing}: ${reason}`, {
    outcome,
    retryable: known?.retryable ?? (error.isLost || error.isPassing),
    hint: known?.hint,
  })
}

/** A user's own statement. The server's texts name tables and columns; bound values stay in details we leave out. */
export function queryFailed(error: unknown): Error {
  if (isSemelError(error)) return error
  const failure = failureOf(error)
  if (failure.isLost) return translated(failure, 'a statement of a user transaction', false)
  const isSent = failure.sqlState !== undefined
  const reason = isSent ? `${failure.message} (SQLSTATE ${failure.sqlState})` : failure.message
  return new SemelError('QUERY_FAILED', `the statement failed: ${reason}`, {
    field: isSent ? 'text' : 'params',
    retryable: failure.isPassing,
    cause: failure,
  })
}
