import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { anomalyNames, type CheckOptions, checkHistory } from '../../src/testing/history/index.ts'
import { groupRows } from './rows/group-rows.ts'
import { logRows } from './rows/log-rows.ts'
import { orderRows } from './rows/order-rows.ts'
import { otherRows } from './rows/other-rows.ts'
import { type Script, script } from './script.ts'

const rows = [...logRows, ...orderRows, ...groupRows, ...otherRows]

function blamed(write: (s: Script) => void, options: CheckOptions | undefined): string[] {
  const report = checkHistory(script(write), options)
  const faults = report.anomalies.filter(({ permitted }) => permitted === undefined)
  assert.equal(report.verdict, faults.length > 0 ? 'invalid' : 'valid', report.reasons.join('\n'))
  for (const { witnesses } of faults) assert.ok(witnesses.length > 0, 'an anomaly shows a witness')
  return faults.map(({ name }) => name).sort()
}

describe('every anomaly of the table', () => {
  for (const { anomaly, title, bad, good, also = [], options, goodOptions } of rows) {
    test(`${anomaly}: ${title}`, () => {
      assert.deepEqual(blamed(bad, options), [anomaly, ...also].sort())
      assert.deepEqual(blamed(good, goodOptions ?? options), [])
    })
  }

  test('has a row here', () => {
    const shown = new Set(rows.map(({ anomaly }) => anomaly))
    assert.deepEqual(
      anomalyNames.filter((name) => !shown.has(name)),
      [],
    )
  })
})
