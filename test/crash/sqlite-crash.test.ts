import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { crashPointNames } from '../../src/engines/sqlite/crash-points.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { killAtPoints } from './chains.ts'

/** A failing chain prints its points in order; SEMEL_SEED makes the same chains again. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
/** Early, when much is created, and later, in full swing; odd and even, as rounds alternate. */
const hits = Array.from({ length: 17 }, (_, n) => n + 1)
/** Under load, events gather into fewer units. */
const unitHits = hits.slice(0, 6)
const chainLength = 8

function chainsOf(points: readonly string[]): string[][] {
  const random = new SeededRandom(seed)
  const left = [...points]
  const chains: string[][] = []
  while (left.length > 0) {
    const take = (): string => left.splice(random.below(left.length), 1)[0]!
    chains.push(Array.from({ length: Math.min(chainLength, left.length) }, take))
  }
  return chains
}

describe('a process killed at a named step of a commit', { concurrency: 2 }, () => {
  const points = crashPointNames.flatMap((name) =>
    (/^session|unit/.test(name) ? unitHits : hits).map((hit) => `${name}:${hit}`),
  )
  for (const [n, chain] of chainsOf(points).entries()) {
    test(`chain ${n} of seed ${seed}: nothing lost, doubled, torn or out of order (D1, N4, P3, U2, X1)`, async () => {
      const missed = await killAtPoints({ points: chain }).catch((cause: unknown) => {
        throw new Error(`killed at ${chain.join(', ')}`, { cause })
      })
      assert.deepEqual(missed, [], 'each kill must hit, or the run proves nothing')
    })
  }
})
