import { setTimeout as pause } from 'node:timers/promises'

/** Waits for a fact. A slow machine is no failure, so the deadline is generous; a fact that came is seen at once. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
  what = condition.toString(),
): Promise<void> {
  const due = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > due) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await pause(2)
  }
}
