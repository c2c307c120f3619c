import { setTimeout as pause } from 'node:timers/promises'

export interface UntilOptions {
  /** How long the fact may take to come true. A slow machine is no failure, so be generous. */
  readonly deadlineMs?: number
  readonly everyMs?: number
}

/**
 * Asks until the answer is a fact: anything but `undefined`, `null` and `false`. A question that throws is asked again,
 * as servers that are starting do throw; what it threw last is the cause of the error when the time is over.
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { deadlineMs = 20_000, everyMs = 10 }: UntilOptions = {},
): Promise<T> {
  const deadline = performance.now() + deadlineMs
  let cause: unknown
  while (performance.now() < deadline) {
    try {
      const answer = await ask()
      if (answer !== undefined && answer !== null && answer !== false) return answer
      cause = undefined
    } catch (error) {
      cause = error
    }
    await pause(everyMs)
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause })
}
