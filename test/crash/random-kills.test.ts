import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { Place, type Running } from './crash-place.ts'

/** SEMEL_SEED kills at the same moments again, as far as processes repeat themselves; SEMEL_KILLS=N kills N times. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
const kills = Number(process.env.SEMEL_KILLS ?? 20)
const killsPerFile = 10
/** Lines of most of a life's history: opening, publishing, handling. */
const linesOfLife = 250

/** Lives on one file, each killed from outside at any moment; the last one runs to its end. */
async function kill(times: number, seed: number): Promise<void> {
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
    const signal = await place.live(logged, { during, durability })
    assert.equal(signal, 'SIGKILL')
    place.died('kill')
    logged = await checkAfterFault(place)
  }
  assert.equal(await place.live(logged), null)
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: 40, handle: 80, commit: 3 },
    plannedFaults: { kill: Math.ceil(times / 2) },
    occurred: { suppressedDuplicates: 1, takeovers: 1 },
  })
}

describe('a process killed at random', { concurrency: 2 }, () => {
  const files = Math.ceil(kills / killsPerFile)
  for (let n = 0; n < files; n++) {
    const times = Math.min(killsPerFile, kills - n * killsPerFile)
    test(`file ${n} of seed ${seed}: after ${times} kills all acknowledged is there, once (D1, D2, D5, N4, X1)`, () =>
      kill(times, seed + n))
  }
})
