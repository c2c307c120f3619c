import type { Send } from '../log-model.ts'

/**
 * At how many places the sends of one id, or of one event without an id, may rightly have put it.
 *
 * With an id: once for each dedup window that fits between its attempts (N1, N3). The benefit of the doubt is the
 * engine's: an attempt may have been accepted at any moment of its call, an unknown one at any time after.
 * Without an id (or where ids promise nothing, N7): once for each attempt that was not refused.
 */
export function placesAllowed(
  sends: readonly Send[],
  id: string | null,
  windowMs: number | undefined,
): number {
  if (id === null || windowMs === undefined)
    return Math.max(1, sends.filter(({ operation }) => operation.outcome !== 'fail').length)
  if (windowMs === Infinity || sends.length <= 1) return 1
  const spans = sends
    .filter(({ operation }) => operation.outcome !== 'fail')
    .map(({ operation }) => ({ startT: operation.startT, endT: operation.endT }))
    .sort((a, b) => a.endT - b.endT)
  let count = 0
  let forgottenAt = -Infinity
  for (const { startT, endT } of spans) {
    if (endT < forgottenAt) continue
    count++
    forgottenAt = Math.max(startT, forgottenAt) + windowMs
  }
  return Math.max(1, count)
}
