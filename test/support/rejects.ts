import assert from 'node:assert/strict'
import { type ErrorCode, isSemelError, type SemelError } from '../../src/errors.ts'

/** The typed error that `work` ends with. */
export async function failure(work: Promise<unknown> | (() => unknown)): Promise<SemelError> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    assert.ok(isSemelError(error), `not a Semel error: ${String(error)}`)
    return error
  }
  assert.fail('it should have failed')
}

export async function failsWith(
  code: ErrorCode,
  work: Promise<unknown> | (() => unknown),
): Promise<SemelError> {
  const error = await failure(work)
  assert.equal(error.code, code, error.message)
  return error
}
