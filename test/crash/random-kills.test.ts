import { describe, test } from 'node:test'
import { killAtRandom } from './chains.ts'

/** SEMEL_SEED kills at the same moments again, as far as processes repeat themselves; SEMEL_KILLS=N kills N times. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
const kills = Number(process.env.SEMEL_KILLS ?? 20)
const killsPerFile = 10

describe('a process killed at random', { concurrency: 2 }, () => {
  const files = Math.ceil(kills / killsPerFile)
  for (let n = 0; n < files; n++) {
    const times = Math.min(killsPerFile, kills - n * killsPerFile)
    test(`file ${n} of seed ${seed}: after ${times} kills all acknowledged is there, once (D1, D2, D5, N4, X1)`, () =>
      killAtRandom(times, seed + n))
  }
})
