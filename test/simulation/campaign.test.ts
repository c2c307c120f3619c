import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { faultNames, minimiseSeed, runCampaignSeed } from '../../src/testing/simulation/index.ts'
import { dedupForgotten } from './broken/dedup-forgotten.ts'

describe('a simulated campaign', () => {
  test('every fault strikes in some run', async () => {
    const struck = new Set<string>()
    for (let seed = 1; seed <= 10 && struck.size < faultNames.length; seed++) {
      const report = await runCampaignSeed({ seed, knobs: { faults: faultNames } })
      for (const name of Object.keys(report.struck)) struck.add(name)
    }
    assert.deepEqual([...struck].sort(), [...faultNames].sort())
  })

  test('a run whose fault never struck is void, not green', async () => {
    const nothing = { calls: 0, faults: ['wakeups'] } as const
    const reasons: string[] = []
    for (let seed = 1; seed <= 10; seed++) {
      const report = await runCampaignSeed({ seed, knobs: nothing })
      assert.notEqual(report.verdict, 'invalid')
      if (report.verdict === 'void') reasons.push(...report.reasons)
    }
    assert.ok(reasons.some((reason) => /wakeups was planned and never struck/.test(reason)))
  })

  test('runs see what must have happened sometimes', async () => {
    const seen = {
      takeovers: 0,
      redeliveries: 0,
      suppressedDuplicates: 0,
      fencedCommits: 0,
      dlq: 0,
      redriven: 0,
    }
    for (let seed = 1; seed <= 10; seed++) {
      const { report, history } = await runCampaignSeed({
        seed,
        knobs: { faults: faultNames, poisonShare: 0.05 },
      })
      seen.takeovers += report.occurred.takeovers
      seen.redeliveries += report.occurred.redeliveries
      seen.suppressedDuplicates += report.occurred.suppressedDuplicates
      seen.fencedCommits += report.occurred.fencedCommits
      seen.dlq += report.counts.dlq?.ok ?? 0
      seen.redriven += history.includes('"replay":"redrive ') ? 1 : 0
    }
    assert.deepEqual(
      Object.entries(seen).filter(([, count]) => count === 0),
      [],
    )
  })

  test('a failing seed becomes smaller, and still fails', async () => {
    const options = { knobs: { faults: faultNames }, storage: dedupForgotten }
    let seed = 1
    while ((await runCampaignSeed({ ...options, seed })).verdict !== 'invalid') seed++

    const { report, changed } = await minimiseSeed({ ...options, seed })

    assert.equal(report.verdict, 'invalid')
    assert.ok((changed.faults?.length ?? faultNames.length) < faultNames.length)
    const again = await runCampaignSeed({ seed, knobs: changed, storage: dedupForgotten })
    assert.equal(again.history, report.history)
  })
})
