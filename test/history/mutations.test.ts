import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkHistory, reportText } from '../../src/testing/history/index.ts'
import { generate, modelOptions } from './model/generate.ts'
import { Lines } from './model/lines.ts'
import { mutations } from './model/mutations.ts'

const histories = 1000
/** Each operator changes every third history, in turn: some ten thousand bad histories in all. */
const stride = 3
const appliedLeast = 0.2

describe('a thousand generated histories', () => {
  const originals = Array.from({ length: histories }, (_, n) => generate(n + 1))

  test('none of them is blamed', () => {
    for (const [n, events] of originals.entries()) {
      const report = checkHistory(events, modelOptions)
      assert.notEqual(report.verdict, 'invalid', `seed ${n + 1}\n${reportText(report)}`)
    }
  })

  for (const [m, { name, caughtAs, apply }] of mutations.entries()) {
    test(`${name}: always caught`, () => {
      let applied = 0
      for (let n = m % stride; n < histories; n += stride) {
        const lines = new Lines(originals[n]!, n + 1)
        if (!apply(lines)) continue
        applied++
        const found = checkHistory(lines.events(), modelOptions).anomalies.map((anomaly) => anomaly.name)
        assert.ok(
          caughtAs.some((anomaly) => found.includes(anomaly)),
          `seed ${n + 1}: found ${found.join(', ') || 'nothing'}`,
        )
      }
      assert.ok(applied > (appliedLeast * histories) / stride, `applied to ${applied} histories only`)
    })
  }
})
