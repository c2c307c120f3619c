import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Unit } from '../../src/engine/engine.ts'
import { redriveTopicName } from '../../src/features/redrive-command.ts'
import { Gate } from '../support/gate.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { countAndEmit, counts, group, lane, openOn, untilCaughtUp } from './words.ts'

const once = { retry: { attempts: 1 } } as const

for (const { name, create } of worlds) {
  describe(`dead letters on ${name}`, () => {
    test('L3: what cannot be handled is kept whole, in the same step as the position', async () => {
      const inner = create().engine()
      const units: Unit[] = []
      const engine = wrapEngine(inner, {
        commit: async (unit) => {
          units.push(unit)
          await inner.commit(unit)
        },
      })
      await using bus = await openOn(engine)
      bus.consume(lane, group('g', { retry: { attempts: 3, baseDelayMs: 1 } }), async (event, tx) => {
        await countAndEmit(event, tx)
        if (event.data.n === 1) throw Object.assign(new TypeError('it is broken'), { code: 'E_BAD' })
      })
      for (let n = 0; n < 4; n++) await bus.publish(lane, { key: 'k0', n }, { id: `e${n}`, subject: 's' })
      await untilCaughtUp(bus, 'g')

      const [letter, ...others] = await bus.deadLetters('g').list()

      assert.deepEqual(others, [])
      assert.ok(letter !== undefined)
      assert.deepEqual([letter.topic, letter.partition, letter.offset, letter.attempts], ['lane', 0, 1, 3])
      assert.deepEqual(letter.error, { name: 'TypeError', message: 'it is broken', code: 'E_BAD' })
      assert.deepEqual(
        [letter.event.id, letter.event.data, letter.event.key],
        ['e1', { key: 'k0', n: 1 }, 'k0'],
      )
      assert.equal(letter.event.attributes?.subject, 's')
      const moved = units.find(({ state }) => state.some(({ store }) => store === 'semel.dead'))
      assert.ok(moved !== undefined && (moved.from ?? 0) <= 1 && moved.to > 1)
      assert.deepEqual(
        (await readAll(bus, counts)).map(({ data }) => data.n),
        [0, 2, 3],
      )
    })

    test('a redrive runs the letter again with state and emits, and takes it off the list', async () => {
      await using bus = await openOn(create().engine())
      let broken = true
      const attempts: number[] = []
      bus.consume(lane, group('g', once), async (event, tx) => {
        attempts.push(event.attempt)
        if (broken && event.data.n === 1) throw new Error('not yet')
        await countAndEmit(event, tx)
      })
      for (let n = 0; n < 3; n++) await bus.publish(lane, { key: 'k0', n })
      const letters = bus.deadLetters('g')
      await until(async () => (await letters.list()).length === 1)

      await letters.redrive(await letters.list())
      await until(() => attempts.length === 4)
      await untilCaughtUp(bus, 'g')
      assert.equal((await letters.list()).length, 1, 'it failed again and stays')
      broken = false
      await Promise.all([1, 2, 3].map(async () => await letters.redrive(await letters.list())))
      await until(async () => (await letters.list()).length === 0)
      await bus.publish(lane, { key: 'k0', n: 3 })
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(
        (await readAll(bus, counts)).map(({ data }) => [data.n, data.count]),
        [
          [0, 1],
          [2, 2],
          [1, 3],
          [3, 4],
        ],
      )
      assert.deepEqual(attempts, [1, 1, 1, 2, 3, 1])
    })

    test('events do not wait while it is looked whether anybody asks for a redrive', async () => {
      const inner = create().engine()
      using gate = new Gate()
      let looks = 0
      const engine = wrapEngine(inner, {
        read: async (request) => {
          if (request.topic === redriveTopicName('g')) {
            looks++
            await gate.opened
          }
          return await inner.read(request)
        },
      })
      await using bus = await openOn(engine)
      let fails = true
      const handled: number[] = []
      bus.consume(lane, group('g', once), async ({ data }) => {
        if (data.n === 0 && fails) throw new Error('not yet')
        handled.push(data.n)
      })
      await until(() => looks > 0)
      for (let n = 0; n < 3; n++) await bus.publish(lane, { key: 'k0', n })
      await until(() => handled.length === 2)
      fails = false
      const letters = bus.deadLetters('g')
      await letters.redrive(await letters.list())
      gate.open()
      await until(() => handled.length === 3)

      assert.deepEqual(handled, [1, 2, 0])
    })

    test('X1: a letter that is asked for again before its unit is committed runs once', async () => {
      const inner = create().engine()
      using gate = new Gate()
      let broken = true
      const engine = wrapEngine(inner, {
        commit: async (unit) => {
          if (!broken && unit.appends.length > 0) await gate.opened
          await inner.commit(unit)
        },
      })
      await using bus = await openOn(engine)
      let reads = 0
      bus.consume(lane, group('g', once), async (event, tx) => {
        if (broken) throw new Error('not yet')
        await countAndEmit(event, tx)
        reads++
      })
      await bus.publish(lane, { key: 'k0', n: 0 })
      const letters = bus.deadLetters('g')
      await until(async () => (await letters.list()).length === 1)
      broken = false

      const [letter] = await letters.list()
      await letters.redrive([letter!, letter!, letter!])
      await until(() => reads > 0)
      // Bait: a second run would be over before the group has seen that the letters behind it are handled.
      await bus.publish(lane, { key: 'k1', n: 1 })
      await until(() => reads > 1)
      await letters.redrive([letter!])
      gate.open()
      await until(async () => (await letters.list()).length === 0)
      await untilCaughtUp(bus, 'g')

      const emitted = (await readAll(bus, counts)).map(({ data }) => data.n)
      assert.deepEqual(emitted.sort(), [0, 1])
    })

    test('A1: at most once, a letter is off its list before its handler runs again', async () => {
      const inner = create().engine()
      await using bus = await openOn(inner)
      const listed: number[] = []
      const letters = bus.deadLetters('g')
      bus.consume(lane, group('g', { guarantee: 'at-most-once' }), async () => {
        listed.push((await letters.list()).length)
        if (listed.length < 3) throw new Error('not yet')
      })
      await bus.publish(lane, { key: 'k0', n: 0 })
      for (let round = 1; round < 3; round++) {
        await until(async () => (await letters.list()).length === 1)
        await letters.redrive(await letters.list())
        await until(() => listed.length === round + 1)
      }
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(listed, [0, 0, 0])
      assert.deepEqual(await letters.list(), [])
    })

    for (const concurrency of [1, 16]) {
      test(`O1: a letter that comes back waits for its key (concurrency ${concurrency})`, async () => {
        await using bus = await openOn(create().engine())
        using gate = new Gate()
        let broken = true
        let running = 0
        let most = 0
        const seen: number[] = []
        bus.consume(lane, group('g', { ...once, concurrency }), async (event, tx) => {
          if (broken && event.data.n === 0) throw new Error('not yet')
          most = Math.max(most, ++running)
          await countAndEmit(event, tx)
          seen.push(event.data.n)
          if (event.data.n === 1) await gate.opened
          running--
        })
        await bus.publish(lane, { key: 'k0', n: 0 })
        const letters = bus.deadLetters('g')
        await until(async () => (await letters.list()).length === 1)
        broken = false
        await bus.publish(lane, { key: 'k0', n: 1 })
        await until(() => seen.length === 1)
        await letters.redrive(await letters.list())
        // Bait: if the letter did not wait, it would have run well before these are answered.
        for (let n = 2; n < 30; n++) await bus.publish(lane, { key: 'k0', n })
        await until(async () => (await bus.status()).publishQueueEvents === 0)
        const startedMs = performance.now()
        await until(() => performance.now() - startedMs > 600)
        gate.open()
        await until(async () => (await letters.list()).length === 0)
        await untilCaughtUp(bus, 'g')

        assert.equal(most, 1)
        const emitted = (await readAll(bus, counts)).map(({ data }) => data.count)
        assert.deepEqual(
          emitted,
          emitted.map((_, i) => i + 1),
        )
      })
    }

    test('O2: block keeps trying, and only its key waits', async () => {
      await using bus = await openOn(create().engine())
      let attempts = 0
      const seen: string[] = []
      const retry = { attempts: 1, baseDelayMs: 1, maxDelayMs: 2, onExhausted: 'block' } as const
      bus.consume(lane, group('g', { retry }), (event) => {
        if (event.data.key === 'bad' && event.data.n === 0 && attempts++ < 20) throw new Error('again')
        seen.push(`${event.data.key}${event.data.n}`)
      })
      for (let n = 0; n < 3; n++) await bus.publish(lane, { key: 'bad', n })
      await bus.publish(lane, { key: 'good', n: 0 })
      await untilCaughtUp(bus, 'g')

      assert.equal(seen[0], 'good0')
      assert.deepEqual(seen.slice(1), ['bad0', 'bad1', 'bad2'])
      assert.deepEqual(await bus.deadLetters('g').list(), [])
    })

    test('an error that says it is not retryable is not retried', async () => {
      await using bus = await openOn(create().engine())
      let calls = 0
      bus.consume(lane, group('g'), () => {
        calls++
        throw Object.assign(new Error('never'), { retryable: false })
      })
      await bus.publish(lane, { key: 'a', n: 0 })
      await until(async () => (await bus.deadLetters('g').list()).length === 1)
      assert.equal(calls, 1)
    })

    test('the list goes on where it ended', async () => {
      await using bus = await openOn(create().engine())
      bus.consume(lane, group('g', once), () => {
        throw new Error('all of them')
      })
      await bus.publishMany(Array.from({ length: 7 }, (_, n) => lane.event({ key: `k${n}`, n })))
      await untilCaughtUp(bus, 'g')
      const letters = bus.deadLetters('g')

      const first = await letters.list({ limit: 3 })
      const second = await letters.list({ topic: 'lane', limit: 3, after: first.at(-1) })
      const third = await letters.list({ limit: 3, after: second.at(-1) })

      assert.deepEqual(
        [first, second, third].map((page) => page.map(({ offset }) => offset)),
        [[0, 1, 2], [3, 4, 5], [6]],
      )
    })

    test('a redrive of a place that cannot be is refused', async () => {
      await using bus = await openOn(create().engine())
      const letters = bus.deadLetters('g')
      await failsWith('UNKNOWN_TOPIC', letters.redrive([{ topic: 'nowhere', partition: 0, offset: 0 }]))
      await failsWith('INVALID_OPTION', letters.redrive([{ topic: 'lane', partition: 9, offset: 0 }]))
      await failsWith('INVALID_OFFSET', letters.redrive([{ topic: 'lane', partition: 0, offset: -1 }]))
      await failsWith('INVALID_OPTION', letters.redrive('all' as never))
      await letters.redrive([])
    })

    test('a group of the longest name can consume and redrive', async () => {
      await using bus = await openOn(create().engine())
      const long = 'g'.repeat(200)
      let broken = true
      const consumer = bus.consume(lane, group(long, once), () => {
        if (broken) throw new Error('not yet')
      })
      await consumer.ready()
      await bus.publish(lane, { key: 'a', n: 0 })
      const letters = bus.deadLetters(long)
      await until(async () => (await letters.list()).length === 1)
      broken = false
      await letters.redrive(await letters.list())
      await until(async () => (await letters.list()).length === 0)
    })
  })
}
