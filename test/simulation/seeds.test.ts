import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { root } from '../../scripts/run.ts'
import { runCampaignSeed } from '../../src/testing/simulation/index.ts'

const execute = promisify(execFile)
const outputBytesMax = 64 << 20
const seeds = 300
/** A run in which a planned fault met nothing proves nothing; too many of those, and neither does the test. */
const voidShareMax = 0.03

describe('simulated seeds', () => {
  // In a process of its own: the runner's hooks on every promise double what a simulated run takes.
  test(`${seeds} seeds break no promise`, async () => {
    const args = ['scripts/simulate.ts', '--seed', '1', '--seeds', String(seeds), '--json']
    const { stdout } = await execute(process.execPath, args, { cwd: root, maxBuffer: outputBytesMax }).catch(
      (error: { stdout: string }) => error,
    )
    const { failed, seeds: run, void: voids } = JSON.parse(stdout.trim().split('\n').at(-1)!)
    assert.deepEqual(failed, [], 'npm run simulate -- --seed N --seeds 1 runs one of them again')
    assert.equal(run, seeds)
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
