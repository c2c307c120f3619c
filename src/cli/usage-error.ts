import { type ErrorCode, SemelError } from '../errors.ts'

/** The command line itself is wrong: exit status 2. Anything else that fails is 1. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly error: SemelError

  constructor(code: ErrorCode, message: string, field: string, hint?: string) {
    super(message)
    this.error = new SemelError(code, message, { field, hint })
  }
}
