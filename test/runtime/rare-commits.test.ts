import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { limits } from '../../src/limits.ts'
import { until } from '../support/until.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { lane, openOn } from './words.ts'

const commitShareMax = 0.05
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
  const events = 1_500
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
  // What the committer measures lies around what is noted here, and a unit begins to gather a little before its commit does.
  const rests = whileWaiting.slice(0, -1).map(({ began, ended }) => {
    return Math.min(limits.unitRestMsMax, (ended - began) / commitShareMax - (ended - began))
  })
  const lasted = whileWaiting.at(-1)!.began - whileWaiting[0]!.began
  assert.ok(lasted >= 0.8 * rests.reduce((sum, ms) => sum + ms, 0), `${rests} in ${lasted} ms`)
})
