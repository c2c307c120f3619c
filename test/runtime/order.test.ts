import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { Gate } from '../support/gate.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { counts, group, lane, openOn, untilCaughtUp, wordsOf } from './words.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

for (const { name, create } of worlds) {
  describe(`order on ${name}`, () => {
    test('O1: never two of one key at once, each key in order, and keys side by side', async () => {
      await using bus = await openOn(create().engine())
      const random = new SeededRandom(5)
      const running = new Set<string>()
      const seen = new Map<string, number[]>()
      let together = 0
      bus.consume(lane, group('g', { concurrency: 8 }), async ({ data: { key, n } }) => {
        assert.ok(!running.has(key), `two of ${key} at once`)
        running.add(key)
        together = Math.max(together, running.size)
        for (let i = random.below(4); i >= 0; i--) await turn()
        running.delete(key)
        if (random.fraction() < 0.15) throw new Error('again')
        seen.set(key, [...(seen.get(key) ?? []), n])
      })
      await bus.publishMany(wordsOf(12, 30).map((word) => lane.event(word)))
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(await bus.deadLetters('g').list(), [])
      for (const numbers of seen.values()) assert.deepEqual(numbers, [...Array(30).keys()])
      assert.equal(seen.size, 12)
      assert.ok(together > 1 && together <= 8, `${together} at once`)
    })

    test('O1: while one key retries, the others flow', async () => {
      await using bus = await openOn(create().engine())
      const seen: string[] = []
      let broken = true
      bus.consume(lane, group('g', { retry: { attempts: 1000, baseDelayMs: 2, maxDelayMs: 4 } }), (event) => {
        if (broken && event.data.key === 'k0') throw new Error('not yet')
        seen.push(`${event.data.key}/${event.data.n}`)
      })
      await bus.publishMany(wordsOf(4, 20).map((word) => lane.event(word)))

      await until(() => seen.length === 60)
      assert.ok(!seen.some((one) => one.startsWith('k0')))
      broken = false
      await untilCaughtUp(bus, 'g')
      assert.deepEqual(
        seen.slice(60),
        Array.from({ length: 20 }, (_, n) => `k0/${n}`),
      )
    })

    test('O1: with concurrency 1 the whole partition is in order, over retries and new events', async () => {
      await using bus = await openOn(create().engine())
      const random = new SeededRandom(3)
      const seen: number[] = []
      bus.consume(lane, group('g', { concurrency: 1 }), async (event) => {
        await turn()
        if (random.fraction() < 0.3) throw new Error('again')
        seen.push(event.offset)
      })
      for (let n = 0; n < 100; n++) await bus.publish(lane, { key: `k${n % 7}`, n })
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(seen, [...Array(100).keys()])
    })

    test('a late handler can do no harm: its handle is closed, its signal aborted, its result ignored', async () => {
      await using bus = await openOn(create().engine())
      using gate = new Gate()
      const late: unknown[] = []
      let reason: unknown
      let attempts = 0
      bus.consume(lane, group('g', { handlerTimeoutMs: 60 }), async (event, tx) => {
        const state = tx.state<number>('count')
        if (++attempts === 1) {
          await state.set(1000)
          await gate.opened
          reason = event.signal.reason
          for (const use of [() => state.set(5), () => state.get(), () => tx.state('count')]) {
            await (async () => await use())().catch((error: unknown) => late.push(error))
          }
          try {
            tx.emit(counts, { key: 'k', n: 0, count: 1000 })
          } catch (error) {
            late.push(error)
          }
          return
        }
        const count = ((await state.get()) ?? 0) + 1
        await state.set(count)
        tx.emit(counts, { key: 'k', n: 0, count })
      })
      await bus.publish(lane, { key: 'k', n: 0 })
      await until(async () => (await readAll(bus, counts)).length === 1)
      gate.open()
      await until(() => late.length === 4)
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(
        late.map((error) => (error as { code: string }).code),
        Array(4).fill('TX_CLOSED'),
      )
      assert.equal((reason as { code: string }).code, 'HANDLER_TIMEOUT')
      assert.deepEqual(
        (await readAll(bus, counts)).map(({ data }) => data.count),
        [1],
      )
      assert.equal(attempts, 2)
    })

    test('a stop waits for the running handlers, and at its deadline abandons them', async () => {
      const world = create()
      const bus = await openOn(world.engine())
      using gate = new Gate()
      let runs = 0
      let aborted: unknown
      const consumer = bus.consume(lane, group('g'), async (event) => {
        runs++
        await gate.opened
        aborted = event.signal.reason
      })
      await bus.publish(lane, { key: 'k', n: 0 })
      await until(() => runs === 1)
      const startedMs = performance.now()
      await Promise.all([consumer.stop({ deadlineMs: 100 }), consumer.stop({ deadlineMs: 100 })])
      assert.ok(performance.now() - startedMs < 5_000)
      gate.open()
      await until(() => aborted !== undefined)
      assert.equal((aborted as { code: string }).code, 'ABORTED')

      const next = bus.consume(lane, group('g'), () => {
        runs++
      })
      await untilCaughtUp(bus, 'g')
      assert.equal(runs, 2)
      await next.stop()
      await bus.stop()
    })

    test('L2: a clean stop hands over what finished: nothing runs twice', async () => {
      const world = create()
      const runs: number[] = []
      for (let round = 0; round < 3; round++) {
        const bus = await openOn(world.engine())
        bus.consume(lane, group('g'), async (event) => {
          await turn()
          runs.push(event.offset)
        })
        await bus.publishMany(wordsOf(3, 10).map((word) => lane.event(word)))
        await until(() => runs.length > round * 30 + 10)
        await bus.stop()
      }
      await using last = await openOn(world.engine())
      last.consume(lane, group('g'), (event) => {
        runs.push(event.offset)
      })
      await untilCaughtUp(last, 'g')
      assert.deepEqual(
        runs.toSorted((a, b) => a - b),
        [...Array(90).keys()],
      )
    })
  })
}
