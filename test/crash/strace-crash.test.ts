import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { describe, test } from 'node:test'
import { Place } from './crash-place.ts'
import { requireStrace, straceSkip } from './strace.ts'
import { type Call, calls, killAtCalls } from './syscall-kills.ts'

/** Lives of one file. */
const chainLength = 6
/** Points where a kill is tried, shared out among the calls. */
const pointsMax: Readonly<Record<Call, number>> = {
  pwrite64: 32,
  fsync: 14,
  fdatasync: 14,
  ftruncate: 1,
  unlink: 2,
}

/** How often the busiest thread makes each call in a life that goes on from another: strace counts per thread. */
async function countCalls(): Promise<ReadonlyMap<Call, number>> {
  using place = new Place()
  const trace = `${place.file}.trace`
  const under = ['strace', '-f', '-qq', '--seccomp-bpf', '-e', `trace=${calls.join(',')}`, '-o', trace]
  assert.equal(await place.live(0), null)
  assert.equal(await place.live(place.published, { under }), null)
  const counts = new Map<string, number>()
  for (const [, thread, call] of readFileSync(trace, 'utf8').matchAll(/^(\d+) +(\w+)\(/gm)) {
    const name = `${call} ${thread}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  rmSync(trace)
  const ofCall = (call: Call): number =>
    Math.max(0, ...[...counts].filter(([name]) => name.startsWith(`${call} `)).map(([, count]) => count))
  return new Map(calls.map((call) => [call, ofCall(call)]))
}

/** `count` numbers from 1 to `last`, the first ones close together: much is created then. */
function spread(count: number, last: number): number[] {
  const points = Array.from({ length: count }, (_, i) => Math.ceil(last * ((i + 1) / count) ** 1.5))
  return [...new Set(points)]
}

describe('a process killed at the n-th write or flush of its writer', { skip: straceSkip }, () => {
  test('nothing lost, doubled or out of order (D1, D5, N4, X1)', async (t) => {
    requireStrace()
    const counts = await countCalls()
    const flushes = counts.get('fsync')! + counts.get('fdatasync')!
    assert.ok(
      counts.get('pwrite64')! > 100 && flushes > 10,
      `the scenario writes: ${JSON.stringify([...counts])}`,
    )
    const points = calls.flatMap((call) => {
      // How requests fall into groups differs from run to run: the last few calls may not come.
      const last = Math.ceil(counts.get(call)! * 0.7)
      return last === 0 ? [] : spread(pointsMax[call], last).map((when) => ({ call, when }))
    })
    const count = Math.ceil(points.length / chainLength)
    // Points of all calls in each chain.
    const chains = Array.from({ length: count }, (_, chain) => points.filter((_, n) => n % count === chain))
    let hits = 0
    const next = chains.values()
    const work = async (): Promise<void> => {
      for (const chain of next) {
        const missed = await killAtCalls(chain).catch((cause: unknown) => {
          throw new Error(`killed at ${JSON.stringify(chain)}`, { cause })
        })
        hits += chain.length - missed.length
      }
    }
    await Promise.all([work(), work()])
    t.diagnostic(
      `${points.length} points, ${hits} kills; calls in a whole life: ${JSON.stringify([...counts])}`,
    )
    assert.ok(
      hits >= points.length * 0.8,
      `only ${hits} of ${points.length} kills hit: the run proves little`,
    )
  })
})
