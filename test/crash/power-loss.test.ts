import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { Place, type Running } from './crash-place.ts'
import { PoweredDisk, powerSkip } from './power.ts'

/** SEMEL_SEED cuts at the same moments again, as far as clocks allow; SEMEL_POWER_LOSSES=N cuts N times. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
const losses = Number(process.env.SEMEL_POWER_LOSSES ?? 50)
const lossesPerDisk = 10
/** Lines of a whole life's history: opening, publishing, handling. */
const linesOfLife = 500

/** Cuts the power at a moment of the life. The program stands still before and is gone after, as its machine is. */
function cutDuring(disk: PoweredDisk, random: SeededRandom) {
  return async ({ child, lines }: Running): Promise<void> => {
    await lines(Math.floor(linesOfLife * random.fraction()))
    child.kill('SIGSTOP')
    disk.cutPower()
    child.kill('SIGKILL')
  }
}

/** Lives on one disk, each ended by a power failure; the last one runs to its end. */
async function losePower(times: number, seed: number): Promise<void> {
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
  assert.equal(await place.live(logged), null)
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: 40, handle: 80, commit: 3 },
    plannedFaults: { power: Math.ceil(times / 2) },
    occurred: { suppressedDuplicates: 1 },
  })
}

/** What acknowledges before the flush, so that this rig has something to find. */
async function losePowerUnflushed(times: number): Promise<Set<string>> {
  using disk = new PoweredDisk()
  using place = new Place(join(disk.path, 'semel.db'))
  const random = new SeededRandom(seed)
  assert.equal(await place.live(0, { consumes: false }), null)
  let logged = await checkAfterFault(place)
  for (let n = 0; n < times; n++) {
    const during = cutDuring(disk, random)
    await place.live(logged, { durability: 'os', consumes: false, during, mayFail: true })
    place.died('power')
    disk.restorePower()
    logged = await checkAfterFault(place)
  }
  return new Set(place.judge({ drained: false }).anomalies.map(({ name }) => name))
}

describe('a machine that loses power', { concurrency: 2, skip: powerSkip }, () => {
  const disks = Math.ceil(losses / lossesPerDisk)
  for (let n = 0; n < disks; n++) {
    const times = Math.min(lossesPerDisk, losses - n * lossesPerDisk)
    test(`disk ${n} of seed ${seed}: after ${times} losses all acknowledged is there, a prefix, once (D1, D5, N4, X1)`, () =>
      losePower(times, seed + n))
  }

  test('the checks find what was acknowledged before it was flushed; what is left is still a prefix (D2, D5)', async () => {
    const found = await losePowerUnflushed(4)
    assert.ok(found.has('prefix-break'), `found ${[...found].join(', ') || 'nothing'}`)
  })
})
