import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CrashPoint, crashPointNames } from '../../src/engines/sqlite/crash-points.ts'
import { checkAfterKill, checkAtEnd } from './crash-checks.ts'
import { live, newPlace } from './crash-place.ts'

/**
 * Early, when much is created, and later, in full swing; odd and even, as rounds alternate. Fewer transactions hold
 * user SQL.
 */
const hitsOf = (name: CrashPoint): readonly number[] => (name.startsWith('session') ? [1, 4] : [2, 7, 14])

async function crashAndCheck(...crashes: string[]): Promise<void> {
  const place = newPlace()
  for (const crashAt of crashes) {
    const signal = await live(place, { crashAt })
    assert.equal(signal, 'SIGKILL', `the kill at ${crashAt} must hit, or the run proves nothing`)
    await checkAfterKill(place)
  }
  assert.equal(await live(place), null)
  await checkAtEnd(place)
}

describe('a process killed at a named step of a commit', { concurrency: 2 }, () => {
  const steps = crashPointNames.flatMap((name) => hitsOf(name).map((hit) => `${name}:${hit}`))
  for (const step of steps) {
    test(`${step}: nothing lost, doubled, torn or out of order (D1, N4, P3, U2, X1)`, () =>
      crashAndCheck(step))
  }

  test('and again while it recovers', async () => {
    await crashAndCheck('writer.committed:6', 'writer.caught-up:1', 'writer.before-commit:2')
  })
})
