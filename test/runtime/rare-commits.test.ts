import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { until } from '../support/until.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { lane, openOn } from './words.ts'

const commitShareMax = 0.2
const commitMs = 30

/** A commit that is work for a server: when each began and ended. */
function slowToCommit(): { engine: Engine; commits: { began: number; ended: number }[] } {
  const inner = memory()
  const commits: { began: number; ended: number }[] = []
  const engine = wrapEngine(inner, {
    facts: { ...inner.facts, commitShareMax },
    commit: async (unit) => {
      const began = performance.now()
      await pause(commitMs)
      await inner.commit(unit)
      commits.push({ began, ended: performance.now() })
    },
  })
  return { engine, commits }
}

test('where commits may take only a share of the time, they take no more while events are waiting', async () => {
  const { engine, commits } = slowToCommit()
  await using bus = await openOn(engine)
  const events = 400
  await bus.publishMany(Array.from({ length: events }, (_, n) => lane.event({ key: `k${n % 7}`, n })))
  let handled = 0
  let handledWhenBegun = 0
  bus.consume(lane, { group: 'g', guarantee: 'at-least-once', concurrency: 2 }, async () => {
    await pause(4)
    handled += 1
    if (handled === events) handledWhenBegun = commits.length
  })
  await until(() => handled === events)
  const whileWaiting = commits.slice(0, handledWhenBegun)
  assert.ok(whileWaiting.length >= 3)
  for (const [i, { began }] of whileWaiting.entries()) {
    const before = whileWaiting[i - 1]
    if (before === undefined) continue
    const took = before.ended - before.began
    // What the committer measures lies around it.
    assert.ok(
      began - before.began >= took / commitShareMax - took - 1,
      `${began - before.began} after ${took}`,
    )
  }
})
