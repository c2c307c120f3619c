import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { storageFailure, withFailingCommits, wrapEngine } from '../support/wrap-engine.ts'
import {
  countAndEmit,
  group,
  lane,
  openOn,
  requireExactCounts,
  untilCaughtUp,
  untilCounted,
  words,
  wordsOf,
} from './words.ts'

const keys = 8
const perKey = 40

for (const { name, create } of worlds) {
  describe(`effects on ${name}`, () => {
    for (const seed of [1, 2, 3]) {
      test(`X1 U1: commits that fail or lie leave counts exact (seed ${seed})`, async () => {
        const random = new SeededRandom(seed)
        const engine = withFailingCommits(create().engine(), () => random.fraction(), 0.4)
        await using bus = await openOn(engine)
        bus.consume(words, group('g', { concurrency: seed === 1 ? 1 : 16 }), async (event, tx) => {
          await countAndEmit(event as never, tx)
          if (random.fraction() < 0.1) throw new Error('the handler fails after its effects')
        })
        for (const word of wordsOf(keys, perKey)) void bus.publish(words, word)

        await untilCounted(bus, keys * perKey)
        await untilCaughtUp(bus, 'g')

        await requireExactCounts(bus, keys, perKey)
      })
    }

    test('state that nobody has asked for yet comes in a few reads, not one for each key', async () => {
      const inner = create().engine()
      const reads: number[] = []
      const engine = wrapEngine(inner, {
        readState: async (task, store, wanted) => {
          if (store === 'count') reads.push(wanted.length)
          return await inner.readState(task, store, wanted)
        },
      })
      await using bus = await openOn(engine)
      const manyKeys = 200
      await bus.publishMany(wordsOf(manyKeys, 2).map((word) => lane.event(word)))
      bus.consume(lane, group('g'), countAndEmit)
      await untilCounted(bus, manyKeys * 2)
      await requireExactCounts(bus, manyKeys, 2)
      assert.equal(
        reads.reduce((sum, wanted) => sum + wanted, 0),
        manyKeys,
        'each key is read once',
      )
      assert.ok(reads.length <= 5, `${reads.length} reads`)
    })

    test('V1: after many failed commits a task is soon at work again', async () => {
      const inner = create().engine()
      let failures = 0
      const engine = wrapEngine(inner, {
        commit: async (unit) => {
          if (unit.appends.length > 0 && failures % 2 === 0 && failures < 40) {
            failures++
            throw storageFailure('not-applied')
          }
          if (unit.appends.length > 0) failures++
          await inner.commit(unit)
        },
      })
      await using bus = await openOn(engine)
      bus.consume(lane, group('g'), countAndEmit)
      const startedMs = performance.now()
      for (let n = 0; n < 20; n++) {
        await bus.publish(lane, { key: 'k0', n })
        await untilCounted(bus, n + 1)
      }

      assert.ok(failures >= 40)
      assert.ok(
        performance.now() - startedMs < 10_000,
        'each failure costs one short wait, not a growing one',
      )
    })

    test('L1: at least once, every event is handled, however commits and handlers fail', async () => {
      const random = new SeededRandom(7)
      const engine = withFailingCommits(create().engine(), () => random.fraction(), 0.4)
      await using bus = await openOn(engine)
      const handled = new Set<string>()
      bus.consume(words, group('g', { guarantee: 'at-least-once' }), (event) => {
        if (random.fraction() < 0.2) throw new Error('now and then')
        handled.add(`${event.data.key}/${event.data.n}`)
      })
      await bus.publishMany(wordsOf(keys, perKey).map((word) => words.event(word)))

      await untilCaughtUp(bus, 'g')

      assert.equal(handled.size, keys * perKey)
    })

    test('A1: at most once, no event is handed out twice, and the position is ahead of handlers', async () => {
      const random = new SeededRandom(11)
      const inner = create().engine()
      const engine = withFailingCommits(inner, () => random.fraction(), 0.3)
      await using bus = await openOn(engine)
      const handed: string[] = []
      const early: string[] = []
      bus.consume(words, group('g', { guarantee: 'at-most-once' }), async (event) => {
        handed.push(event.id)
        const task = { group: 'g', topic: event.topic, partition: event.partition }
        const { position } = await inner.load({ task, epoch: 1 })
        if ((position ?? 0) <= event.offset) early.push(event.id)
        if (random.fraction() < 0.3) throw new Error('gone with its event')
      })
      await bus.publishMany(wordsOf(keys, perKey).map((word) => words.event(word)))

      await untilCaughtUp(bus, 'g')

      assert.equal(new Set(handed).size, handed.length)
      assert.deepEqual(early, [])
      assert.ok(handed.length > 0)
    })

    test('L2: what finished above the position is not run again after a restart', async () => {
      const world = create()
      const runs = new Map<number, number>()
      const first = await openOn(world.engine())
      first.consume(lane, group('g'), (event) => {
        runs.set(event.data.n, (runs.get(event.data.n) ?? 0) + 1)
        return event.data.n === 0 || event.data.n === 5 ? new Promise(() => undefined) : undefined
      })
      await first.publishMany(Array.from({ length: 60 }, (_, n) => lane.event({ key: `k${n}`, n })))
      await until(() => runs.size === 60)
      await first.stop({ deadlineMs: 200 })

      // A smaller window reads only part of what is remembered; the rest must not be forgotten.
      const second = await openOn(world.engine())
      second.consume(lane, group('g', { windowEvents: 10 }), (event) => {
        runs.set(event.data.n, (runs.get(event.data.n) ?? 0) + 1)
        return event.data.n === 0 ? new Promise(() => undefined) : undefined
      })
      await until(() => runs.get(5) === 2 && runs.get(0) === 2)
      await second.stop({ deadlineMs: 200 })

      await using third = await openOn(world.engine())
      third.consume(lane, group('g'), (event) => {
        runs.set(event.data.n, (runs.get(event.data.n) ?? 0) + 1)
      })
      await untilCaughtUp(third, 'g')

      assert.deepEqual([runs.get(0), runs.get(5)], [3, 2])
      for (let n = 1; n < 60; n++) if (n !== 5) assert.equal(runs.get(n), 1, `event ${n}`)
    })
  })
}
