import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drill } from '../../scripts/drill/run.ts'

const runMs = 700
const recoveredMsMax = 30_000

test('a synchronous standby takes over under load: nothing lost, nothing doubled, clients reconnect (Q6, X1)', async (t) => {
  const report = await drill({ synchronous: true, runMs, note: (text) => t.diagnostic(text) })
  assert.deepEqual(report.violations, [])
  assert.ok(report.recoveredMs >= report.promotedMs && report.recoveredMs < recoveredMsMax)
})

test('an asynchronous one: every program reports what is missing; published again, all is there once (D6, Q6)', async (t) => {
  const report = await drill({ synchronous: false, runMs, note: (text) => t.diagnostic(text) })
  assert.ok(report.lost > 0, 'the drill lost nothing, so it proves nothing')
  assert.equal(report.reported, report.programs)
  assert.ok(report.lagBytes > 0)
  assert.deepEqual(report.violations, [])
})
