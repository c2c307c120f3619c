import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runCampaignSeed } from '../../src/testing/simulation/index.ts'

const seeds = 300
/** A run in which a planned fault met nothing proves nothing; too many of those, and neither does the test. */
const voidShareMax = 0.03

describe('simulated seeds', () => {
  test(`${seeds} seeds break no promise`, async () => {
    let voids = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const { verdict, reasons } = await runCampaignSeed({ seed })
      assert.notEqual(
        verdict,
        'invalid',
        `npm run simulate -- --seed ${seed} --seeds 1\n${reasons.join('\n')}`,
      )
      if (verdict === 'void') voids++
    }
    assert.ok(voids <= seeds * voidShareMax, `${voids} of ${seeds} runs prove nothing`)
  })

  test('one seed gives one history, to the byte', async () => {
    const [first, again] = [await runCampaignSeed({ seed: 7 }), await runCampaignSeed({ seed: 7 })]
    assert.ok(first.history.length > 10_000)
    assert.equal(first.history, again.history)
  })

  test('another seed gives another history, with the same knobs', async () => {
    const first = await runCampaignSeed({ seed: 7 })
    const other = await runCampaignSeed({ seed: 8, knobs: first.knobs })
    assert.notEqual(first.history, other.history)
  })
})
