import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { losePower, losePowerUnflushed } from './chains.ts'
import { powerSkip } from './power.ts'

/** SEMEL_SEED cuts at the same moments again, as far as processes repeat themselves; SEMEL_POWER_LOSSES=N cuts N times. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
const losses = Number(process.env.SEMEL_POWER_LOSSES ?? 50)
const lossesPerDisk = 10

describe('a machine that loses power', { concurrency: 2, skip: powerSkip }, () => {
  const disks = Math.ceil(losses / lossesPerDisk)
  for (let n = 0; n < disks; n++) {
    const times = Math.min(lossesPerDisk, losses - n * lossesPerDisk)
    test(`disk ${n} of seed ${seed}: after ${times} losses all acknowledged is there, a prefix, once (D1, D5, N4, X1)`, () =>
      losePower(times, seed + n))
  }

  test('the checks find what was acknowledged before it was flushed; what is left is still a prefix (D2, D5)', async () => {
    const found = await losePowerUnflushed(4, seed)
    assert.ok(found.includes('prefix-break'), `found ${found.join(', ') || 'nothing'}`)
  })
})
