import assert from 'node:assert/strict'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { Place } from './crash-place.ts'

/** Every call by which the writer changes a file or makes it durable. */
export const calls = ['pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'unlink'] as const
export type Call = (typeof calls)[number]

/** The n-th of a call, in the thread that makes it. */
export interface CallPoint {
  readonly call: Call
  readonly when: number
}

/** About so many of a call may belong to opening the file, when nothing is under way. */
const openingCalls = 24

/** Lives on one file, each after the first killed at a call. Answers the points that were not reached: such a life ran to its end. */
export async function killAtCalls(points: readonly CallPoint[]): Promise<CallPoint[]> {
  using place = new Place()
  const missed: CallPoint[] = []
  assert.equal(await place.live(0), null)
  let logged = await checkAfterFault(place)
  for (const point of points) {
    const { call, when } = point
    const inject = `inject=${call}:signal=SIGKILL:when=${when}`
    // Not with --seccomp-bpf: strace 6.1 then injects nothing.
    const under = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject]
    if (!place.wasKilled(await place.live(logged, { under }))) missed.push(point)
    logged = await checkAfterFault(place)
  }
  assert.equal(await place.live(logged), null)
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: 40, handle: 80 },
    plannedFaults: points.some(({ when }) => when > openingCalls) ? { kill: 1 } : { kill: 0 },
    occurred: { suppressedDuplicates: 1 },
  })
  return missed
}
