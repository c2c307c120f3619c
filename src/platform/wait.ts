import type { Platform } from './platform.ts'

/**
 * Resolves after `delayMs`, or rejects with the signal's own reason as soon as it is aborted.
 * The listener and the timer are always removed.
 */
export function sleep(platform: Platform, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const timer = platform.timers.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Settles with `work`, unless `signal` aborts first: then it rejects with the signal's reason.
 * The work itself goes on; what happens to it is the caller's choice.
 */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await work
  signal.throwIfAborted()
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort)
  }
}

/**
 * Settles with `work`, or rejects with `onLate()` when `deadlineMs` has passed first (U3: no promise hangs).
 */
export async function orLate<T>(
  platform: Platform,
  work: Promise<T>,
  deadlineMs: number,
  onLate: () => Error,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const timer = platform.timers.after(deadlineMs, () => reject(onLate()))
    work.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (cause: unknown) => {
        timer.cancel()
        reject(cause)
      },
    )
  })
}
