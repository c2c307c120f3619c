import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { hasCode, openBus } from '../../src/index.ts'
import { Gate } from '../support/gate.ts'
import { PausablePlatform } from '../support/pausable-platform.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import {
  countAndEmit,
  counts,
  group,
  lane,
  openOn,
  requireExactCounts,
  topics,
  untilCaughtUp,
  untilCounted,
  words,
  wordsOf,
} from './words.ts'

/** An owner that is paused: its commits wait at a gate and then meet whatever is true by then. */
function paused(inner: Engine, gate: Gate): { engine: Engine; waiting: () => number; answers: unknown[] } {
  let waiting = 0
  const answers: unknown[] = []
  const engine = wrapEngine(inner, {
    commit: async (unit) => {
      if (unit.appends.length > 0) {
        waiting++
        await gate.opened
      }
      try {
        await inner.commit(unit)
        answers.push('committed')
      } catch (error) {
        answers.push(error)
        throw error
      }
    },
  })
  return { engine, waiting: () => waiting, answers }
}

for (const { name, create } of worlds) {
  describe(`members on ${name}`, () => {
    test('three members share the partitions, hand over at a stop, and count exactly', async () => {
      const world = create()
      const buses = await Promise.all(['a', 'b', 'c'].map((member) => openOn(world.engine(), member)))
      const [first, second, third] = buses
      assert.ok(first && second && third)
      const one = first.consume(words, group('g'), countAndEmit)
      const published = (async () => {
        for (const word of wordsOf(8, 40)) await third.publish(words, word)
      })()
      await one.ready()
      const two = second.consume(words, group('g'), countAndEmit)
      await until(() => one.tasks().length === 1 && two.tasks().length === 1)
      await one.stop()
      await until(() => two.tasks().length === 2)
      third.consume(words, group('g'), countAndEmit)
      await published
      await untilCounted(second, 8 * 40)
      await untilCaughtUp(second, 'g')

      await requireExactCounts(second, 8, 40)
      for (const bus of buses) await bus.stop()
    })

    test('Z1 V2: a paused owner is fenced when it wakes; nothing it did is there, nothing is doubled', async () => {
      const world = create()
      using gate = new Gate()
      const { engine, waiting, answers } = paused(world.engine(), gate)
      const fresh = await openOn(world.engine(), 'fresh')
      const platform = new PausablePlatform()
      const old = await openBus({ engine, topics, platform, member: 'old' })
      let oldCalls = 0
      const before = old.consume(lane, group('g', { leaseMs: 300 }), async (event, tx) => {
        oldCalls++
        await countAndEmit(event, tx)
      })
      await fresh.publishMany(wordsOf(2, 5).map((word) => lane.event(word)))
      await until(() => waiting() > 0)
      platform.pause()

      const after = fresh.consume(lane, group('g', { leaseMs: 300 }), countAndEmit)
      await untilCounted(fresh, 10)
      await untilCaughtUp(fresh, 'g')
      assert.equal(after.tasks()[0]?.epoch, 2)
      assert.equal(before.tasks()[0]?.epoch, 1, 'the paused owner still believes in its lease')
      gate.open()
      platform.resume()
      await until(() => answers.some((answer) => hasCode(answer, 'FENCED')))
      await fresh.publish(lane, { key: 'k0', n: 5 })
      await untilCounted(fresh, 11)
      await old.stop()
      await untilCaughtUp(fresh, 'g')

      assert.ok(oldCalls > 0)
      const emitted = (await readAll(fresh, counts)).map(({ data }) => [data.key, data.n, data.count])
      assert.deepEqual(
        emitted.filter(([key]) => key === 'k0'),
        [0, 1, 2, 3, 4, 5].map((n) => ['k0', n, n + 1]),
      )
      assert.equal(emitted.length, 11)
      await fresh.stop()
    })
  })
}
