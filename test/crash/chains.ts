import assert from 'node:assert/strict'
import { join } from 'node:path'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { Place, type Running } from './crash-place.ts'
import { mixedScenario } from './crash-topics.ts'
import { freeze } from './freeze.ts'
import { PoweredDisk } from './power.ts'

// Chains of lives on one file, each ended by force and each going on where the one before it ended. After every
// fault the file is checked, and at the end the whole history is judged. For the tests and for the campaign.

/** Lines of most of a life's history: opening, publishing, handling. */
const linesOfLife = 250
/** Where a life that only publishes has published something, and is not over: it ends after about 145 lines. */
const linesOfPublishing = { first: 20, last: 120 }

interface KillChain {
  /** `name:hit` of each crash point. */
  readonly points: readonly string[]
  readonly scenario?: typeof mixedScenario
}

/** Each life is killed at a named step. Answers the points that were not reached: such a life ran to its end. */
export async function killAtPoints({ points, scenario = mixedScenario }: KillChain): Promise<string[]> {
  using place = new Place(undefined, scenario)
  const missed: string[] = []
  let logged = 0
  for (const crashAt of points) {
    let signal = await place.live(logged, { crashAt })
    if (signal === null) {
      // On a busy machine events gather into too few units to come to this hit.
      logged = await checkAfterFault(place)
      signal = await place.live(logged, { crashAt, stepwise: true })
    }
    if (!place.wasKilled(signal)) missed.push(crashAt)
    logged = await checkAfterFault(place)
  }
  assert.equal(await place.live(logged), null)
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: 40, publishMany: 20, handle: 80, commit: 3, poll: 2 * points.length },
    // Some steps belong to opening the file, when nothing is under way yet.
    plannedFaults: missed.length < points.length / 2 ? { kill: Math.ceil(points.length / 4) } : {},
    occurred: { suppressedDuplicates: 1 },
  })
  return missed
}

/** Each life is killed from outside, at any moment. */
export async function killAtRandom(times: number, seed: number): Promise<void> {
  using place = new Place()
  const random = new SeededRandom(seed)
  let logged = 0
  for (let n = 0; n < times; n++) {
    const during = async ({ child, lines }: Running): Promise<void> => {
      await lines(Math.floor(linesOfLife * random.fraction()))
      child.kill('SIGKILL')
    }
    // Half of the lives acknowledge before the flush: the system keeps what a killed process wrote (D2).
    const durability = random.below(2) === 0 ? 'fsync' : 'os'
    assert.equal(await place.live(logged, { during, durability }), 'SIGKILL')
    place.died('kill')
    logged = await checkAfterFault(place)
  }
  await finish(place, logged, { kill: Math.ceil(times / 2) })
}

/** Each life ends with a power failure of its disk. */
export async function losePower(times: number, seed: number): Promise<void> {
  using disk = new PoweredDisk()
  using place = new Place(join(disk.path, 'semel.db'))
  const random = new SeededRandom(seed)
  let logged = 0
  for (let n = 0; n < times; n++) {
    await place.live(logged, { during: cutDuring(disk, random), mayFail: true })
    place.died('power')
    disk.restorePower()
    logged = await checkAfterFault(place)
  }
  await finish(place, logged, { power: Math.ceil(times / 2) })
}

/**
 * The same with lives that acknowledge before the flush and flush nothing else, so that there is something to find.
 * Answers the anomalies that the checker saw.
 */
export async function losePowerUnflushed(times: number, seed: number): Promise<string[]> {
  using disk = new PoweredDisk()
  using place = new Place(join(disk.path, 'semel.db'))
  const random = new SeededRandom(seed)
  assert.equal(await place.live(0, { consumes: false }), null)
  let logged = await checkAfterFault(place)
  for (let n = 0; n < times; n++) {
    const during = cutDuring(disk, random, linesOfPublishing)
    await place.live(logged, { durability: 'os', consumes: false, during, mayFail: true })
    place.died('power')
    disk.restorePower()
    logged = await checkAfterFault(place)
  }
  return place.judge({ drained: false }).anomalies.map(({ name }) => name)
}

/** Cuts the power at a moment of the life. The program stands still before and is gone after, as its machine is. */
function cutDuring(
  disk: PoweredDisk,
  random: SeededRandom,
  { first, last } = { first: 0, last: linesOfLife },
) {
  return async ({ child, lines }: Running): Promise<void> => {
    await lines(Math.floor(first + (last - first) * random.fraction()))
    await freeze(child)
    disk.cutPower()
    child.kill('SIGKILL')
  }
}

/** The last life runs to its end, and then everything must be there. */
async function finish(place: Place, logged: number, plannedFaults: Record<string, number>): Promise<void> {
  assert.equal(await place.live(logged), null)
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: 40, handle: 80, commit: 3 },
    plannedFaults,
    occurred: { suppressedDuplicates: 1, takeovers: 1 },
  })
}
