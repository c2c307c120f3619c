import { type ErrorCode, isSemelError, type SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import { checkOptionNames, oneOf, requireOptions, wholeNumber } from '../options.ts'
import type { Random } from '../platform/platform.ts'

export interface RetryOptions {
  /** How often a handler is called for one event, the first call included. Default 5. */
  readonly attempts?: number | undefined
  /** Upper bound of the first delay. Default 100 ms; doubles with each attempt. */
  readonly baseDelayMs?: number | undefined
  /** Bound that the doubling stops at. Default 30 s. */
  readonly maxDelayMs?: number | undefined
  /**
   * What happens after the last attempt: `dead-letter` takes the event out of the way (later events of its key go
   * on, O2); `block` keeps trying, so order per key holds and the key waits. Default `dead-letter`.
   */
  readonly onExhausted?: 'dead-letter' | 'block' | undefined
}

export interface RetryPolicy {
  readonly attempts: number
  readonly baseDelayMs: number
  readonly maxDelayMs: number
  readonly onExhausted: 'dead-letter' | 'block'
}

export function resolveRetry(given: RetryOptions | undefined): RetryPolicy {
  const options = requireOptions('retry', given)
  checkOptionNames('retry', options, ['attempts', 'baseDelayMs', 'maxDelayMs', 'onExhausted'])
  const delay = { min: 0, max: limits.waitMsMax }
  return {
    attempts: wholeNumber('retry.attempts', options.attempts, {
      min: 1,
      max: 1000,
      fallback: limits.retryAttemptsDefault,
    }),
    baseDelayMs: wholeNumber('retry.baseDelayMs', options.baseDelayMs, {
      ...delay,
      fallback: limits.retryBaseDelayMsDefault,
    }),
    maxDelayMs: wholeNumber('retry.maxDelayMs', options.maxDelayMs, {
      ...delay,
      fallback: limits.retryMaxDelayMsDefault,
    }),
    onExhausted: oneOf('retry.onExhausted', options.onExhausted, ['dead-letter', 'block'], 'dead-letter'),
  }
}

/**
 * Exponential backoff with full jitter: a uniform delay up to the doubling bound.
 * (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: Random): number {
  const bound = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** Math.min(attempt - 1, 40))
  return Math.floor(random.fraction() * (bound + 1))
}

/** Whether another attempt makes sense. An error says no by carrying `retryable: false` (of its own, not ours). */
export function mayRetry(policy: RetryPolicy, attempt: number, error: unknown): boolean {
  if (policy.onExhausted === 'block') return true
  if (attempt >= policy.attempts) return false
  if (isSemelError(error)) return !isMistake(error)
  return !(typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false)
}

const mistakes: readonly ErrorCode[] = [
  'TOO_LARGE',
  'TOO_DEEP',
  'UNKNOWN_TOPIC',
  'UNKNOWN_OPTION',
  'UNSUPPORTED',
  'SCHEMA_MISMATCH',
]

// Our own refusals of what a handler passed in: the same handler will pass the same thing again.
function isMistake(error: SemelError): boolean {
  return error.code.startsWith('INVALID_') || mistakes.includes(error.code)
}
