/**
 * What is known about the thing that was asked for (guarantees.md U1).
 *
 * - `applied`: it happened; the error is about something after it.
 * - `not-applied`: it did not happen and never will.
 * - `unknown`: it may have happened, may happen later, or never. Retry with the same event id (U2), or look.
 */
export type Outcome = 'applied' | 'not-applied' | 'unknown'

/** Every code a Semel error can carry. Match on these; messages may change. */
export const errorCodes = [
  'INVALID_OPTION',
  'UNKNOWN_OPTION',
  'INVALID_TOPIC',
  'UNKNOWN_TOPIC',
  'TOPIC_CONTRADICTION',
  'INVALID_ID',
  'INVALID_KEY',
  'INVALID_GROUP',
  'INVALID_DATA',
  'INVALID_ATTRIBUTE',
  'INVALID_OFFSET',
  'INVALID_TIME',
  'SCHEMA_MISMATCH',
  'TOO_DEEP',
  'TOO_LARGE',
  'ID_CONFLICT',
  'PREDECESSOR_FAILED',
  'OFFSET_OUT_OF_RANGE',
  'LOG_REGRESSED',
  'COPY_DIFFERS',
  'TOPIC_MOVED',
  'BUSY',
  'DEADLINE_EXCEEDED',
  'ABORTED',
  'BUS_CLOSED',
  'FENCED',
  'POSITION_MISMATCH',
  'HANDLER_TIMEOUT',
  'TX_CLOSED',
  'OUTSIDE_TRANSACTION',
  'UNSUPPORTED',
  'DURABILITY_UNAVAILABLE',
  'UNSAFE_SETTING',
  'DRIVER_MISSING',
  'ENGINE_OPEN_FAILED',
  'ENGINE_FAILED',
  'ENGINE_UNAVAILABLE',
  'STORAGE_LOCKED',
  'STORAGE_FULL',
  'STORAGE_CORRUPT',
  'STORAGE_FORMAT',
  'STORAGE_READ_ONLY',
  'QUERY_FAILED',
  'READ_ONLY_STANDBY',
  'NOT_FOUND',
] as const
export type ErrorCode = (typeof errorCodes)[number]

export interface SemelErrorDetail {
  /** Whether the same call may succeed later without a change by the caller. Default false. */
  readonly retryable?: boolean | undefined
  /** Default `not-applied`; anything that may have reached storage says `unknown`. */
  readonly outcome?: Outcome | undefined
  /** The option, attribute or path that is wrong. */
  readonly field?: string | undefined
  /** The limit that was passed, in the unit the message names. */
  readonly limit?: number | undefined
  readonly actual?: number | undefined
  /** What to do next, for a person. */
  readonly hint?: string | undefined
  /** Position of the bad element in a call that took many. */
  readonly index?: number | undefined
  /** First offset that can be read (OFFSET_OUT_OF_RANGE). */
  readonly earliest?: number | undefined
  /** One past the last offset (OFFSET_OUT_OF_RANGE, LOG_REGRESSED). */
  readonly end?: number | undefined
  readonly cause?: unknown
}

const details = ['field', 'limit', 'actual', 'hint', 'index', 'earliest', 'end'] as const

/** The one error class of Semel. Match on `code`; two copies of the package in one program still agree on it. */
export class SemelError extends Error {
  override readonly name = 'SemelError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly outcome: Outcome
  declare readonly field: string | undefined
  declare readonly limit: number | undefined
  declare readonly actual: number | undefined
  declare readonly hint: string | undefined
  declare readonly index: number | undefined
  declare readonly earliest: number | undefined
  declare readonly end: number | undefined

  constructor(code: ErrorCode, message: string, detail: SemelErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.code = code
    this.retryable = detail.retryable ?? false
    this.outcome = detail.outcome ?? 'not-applied'
    // Only what is known: a console shows the rest as undefined.
    for (const name of details) if (detail[name] !== undefined) Object.assign(this, { [name]: detail[name] })
  }

  /** Plain data, for threads, logs and HTTP replies. Never holds the cause, which may hold secrets. */
  toJSON(): Record<string, unknown> {
    const plain: Record<string, unknown> = {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      outcome: this.outcome,
    }
    for (const name of details) {
      if (this[name] !== undefined) plain[name] = this[name]
    }
    return plain
  }
}

/** Whether `error` is a Semel error, also when it comes from another copy of the package. */
export function isSemelError(error: unknown): error is SemelError {
  return error instanceof Error && error.name === 'SemelError' && 'code' in error && 'outcome' in error
}

/** Whether `error` is a Semel error with this code. */
export function hasCode(error: unknown, code: ErrorCode): boolean {
  return isSemelError(error) && error.code === code
}

/** A broken promise of our own code. Never caught to go on: better stopped than wrong. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/** Stops the program's current step when one of our own invariants does not hold. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message)
}

/** Whether the failed step surely did not happen and never will (U1). */
export function isHarmless(error: unknown): boolean {
  return isSemelError(error) && error.outcome === 'not-applied'
}
