import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkHistory, givenUp } from '../../src/testing/history/index.ts'
import { type Script, script } from './script.ts'

function anomaliesOf(write: (s: Script) => void): string[] {
  return checkHistory(script(write), { drained: false }).anomalies.map(({ name }) => name)
}

function sends(s: Script, ...vals: string[]) {
  return { micro: vals.map((val) => ({ f: 'send' as const, ...s.sent(val) })) }
}

/** What the simulation found in the checker itself: good histories that it blamed. */
describe('good histories that simulated runs came upon', () => {
  test('a call that sends one event twice has an answer for each', () => {
    const found = anomaliesOf((s) => {
      s.start('w1', 'publishMany', sends(s, 'x', 'y')).info('TIMEOUT')
      s.publish('w2', 'z', 2)
      s.publish('w1', 'p', 3)
      const dup = (off: number) => ({ p: 0, off, dup: true })
      s.call('w1', 'publishMany', sends(s, 'x', 'y', 'y'), { micro: [dup(0), dup(1), dup(1)] })
    })
    assert.deepEqual(found, [])
  })

  for (const [err, expected] of [
    [givenUp, []],
    ['HANDLER', ['key-order-break']],
  ] as const) {
    test(`a key goes on past an attempt that failed with ${err}: ${expected[0] ?? 'no fault'}`, () => {
      const found = anomaliesOf((s) => {
        for (const [off, val] of ['a', 'b'].entries())
          s.call('writer', 'publish', s.sent(val, 'k'), { p: 0, off })
        s.start('worker', 'handle', s.step(0, { epoch: 1 })).fail(err)
        s.handle(1, { epoch: 1 })
        s.handle(0, { epoch: 2 })
        s.handle(1, { epoch: 2 })
      })
      assert.deepEqual(found, expected)
    })
  }
})
