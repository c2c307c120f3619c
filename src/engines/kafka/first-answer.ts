import type { Platform, Timer } from '../../platform/platform.ts'

/**
 * The answer of whoever has one first. They are asked one after another: the next one as soon as nobody asked so far may
 * still answer, or has not for `patienceMs`. An error that is not passing counts as an answer. Those who are still under
 * way by then are left to their own deadlines.
 *
 * @throws the error that `last` chooses, if nobody has an answer.
 */
export function firstAnswer<T>(
  platform: Platform,
  attempts: readonly (() => Promise<T>)[],
  patienceMs: number,
  isPassing: (error: unknown) => boolean,
  last: (errors: readonly unknown[]) => unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const errors: unknown[] = []
    let begun = 0
    let isSettled = false
    let timer: Timer | undefined
    const settle = (end: () => void): void => {
      isSettled = true
      timer?.cancel()
      end()
    }
    const failed = (error: unknown): void => {
      if (isSettled) return
      errors.push(error)
      if (!isPassing(error)) settle(() => reject(error))
      else if (errors.length === attempts.length) settle(() => reject(last(errors)))
      else if (errors.length === begun) next()
    }
    const next = (): void => {
      timer?.cancel()
      const attempt = attempts[begun++]!
      if (begun < attempts.length) timer = platform.timers.after(patienceMs, next)
      attempt().then((answer) => settle(() => resolve(answer)), failed)
    }
    next()
  })
}
