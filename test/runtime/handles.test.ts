import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Bus, hasCode, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { type World, worlds } from '../support/worlds.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { counts, group, lane, openOn, untilCaughtUp, type Word } from './words.ts'

const once = { retry: { attempts: 1 } } as const

async function letterCode(bus: Bus): Promise<string | undefined> {
  await until(async () => (await bus.deadLetters('g').list()).length === 1)
  return (await bus.deadLetters('g').list())[0]?.error.code
}

async function withEvents(world: World, count: number): Promise<Bus> {
  const bus = await openOn(world.engine())
  for (let n = 0; n < count; n++) await bus.publish(lane, { key: 'k', n })
  return bus
}

for (const { name, create } of worlds) {
  describe(`the transaction handle on ${name}`, () => {
    test('publish inside an exactly-once handler is OUTSIDE_TRANSACTION, unless strict is off', async () => {
      await using bus = await openOn(create().engine())
      bus.consume(lane, group('g', once), async () => {
        await bus.publish(counts, { key: 'a', n: 0, count: 0 })
      })
      bus.consume(lane, group('free', { ...once, strict: false }), async (event) => {
        await bus.publish(counts, { key: 'free', n: 0, count: 0 }, { id: event.idempotencyKey })
      })
      await bus.publish(lane, { key: 'k', n: 0 })

      assert.equal(await letterCode(bus), 'OUTSIDE_TRANSACTION')
      await untilCaughtUp(bus, 'free')
      assert.deepEqual(
        (await readAll(bus, counts)).map(({ data }) => data.key),
        ['free'],
      )
    })

    test('an emit to a topic that was not declared fails in the handler', async () => {
      await using bus = await openOn(create().engine())
      const elsewhere = topic<Word>('elsewhere')
      bus.consume(lane, group('g', once), (event, tx) => tx.emit(elsewhere, event.data))
      await bus.publish(lane, { key: 'k', n: 0 })
      assert.equal(await letterCode(bus), 'UNKNOWN_TOPIC')
    })

    test('X1: what a failed attempt set and emitted is not there for the next', async () => {
      await using bus = await openOn(create().engine())
      const seen: unknown[] = []
      bus.consume(lane, group('g'), async (event, tx) => {
        const state = tx.state<string>('s')
        seen.push(await state.get())
        await state.set(`attempt ${event.attempt}`)
        tx.emit(counts, { key: 'k', n: event.data.n, count: event.attempt })
        if (event.attempt < 3) throw new Error('again')
      })
      await bus.publish(lane, { key: 'k', n: 0 })
      await bus.publish(lane, { key: 'k', n: 1 })
      await untilCaughtUp(bus, 'g')

      assert.deepEqual(seen, [undefined, undefined, undefined, 'attempt 3', 'attempt 3', 'attempt 3'])
      assert.deepEqual(
        (await readAll(bus, counts)).map(({ data }) => data.count),
        [3, 3],
      )
    })

    test('state is a value: nobody reaches it by holding on to an object', async () => {
      await using bus = await openOn(create().engine())
      const seen: unknown[] = []
      bus.consume(lane, group('g'), async (_event, tx) => {
        const state = tx.state<{ list: number[] }>('s')
        const value = (await state.get()) ?? { list: [] }
        seen.push(structuredClone(value))
        value.list.push(1)
        await state.set(value)
        value.list.push(99)
        ;(await state.get())?.list.push(77)
      })
      for (let n = 0; n < 3; n++) await bus.publish(lane, { key: 'k', n })
      await untilCaughtUp(bus, 'g')
      assert.deepEqual(seen, [{ list: [] }, { list: [1] }, { list: [1, 1] }])
    })

    test('all kinds of values come back as they were, also after a restart; deleted ones do not', async () => {
      const world = create()
      const values = [
        0,
        '',
        'text',
        '{"not":"an object"}',
        '[1',
        false,
        true,
        null,
        1.5,
        { a: [1, { b: null }] },
        [],
        {},
      ]
      const bus = await withEvents(world, 1)
      bus.consume(lane, group('g'), async (_event, tx) => {
        for (const [i, value] of values.entries()) await tx.state(`s${i}`).set(value)
        await tx.state('gone').set(1)
        await tx.state('gone').delete()
      })
      await untilCaughtUp(bus, 'g')
      await bus.stop()

      await using again = await openOn(world.engine())
      let found: unknown[] = []
      again.consume(lane, group('g'), async (_event, tx) => {
        found = await Promise.all([...values.map((_, i) => tx.state(`s${i}`).get()), tx.state('gone').get()])
      })
      await again.publish(lane, { key: 'k', n: 1 })
      await until(() => found.length > 0)
      assert.deepEqual(found, [...values, undefined])
    })

    test('X1: every unit stores its state: after a restart at any point the count goes on', async () => {
      const world = create()
      const seen: unknown[] = []
      for (const units of [1, 2, 3, 4, 5, 6, 7, 8]) {
        const bus = await openOn(world.engine())
        bus.consume(lane, group('g'), async (_event, tx) => {
          const state = tx.state<number>('count')
          const count = ((await state.get()) ?? 0) + 1
          await state.set(count)
          seen.push(count)
        })
        for (let n = 0; n < units; n++) {
          await bus.publish(lane, { key: 'k', n })
          await untilCaughtUp(bus, 'g')
        }
        await bus.stop()
      }
      assert.deepEqual(
        seen,
        seen.map((_, i) => i + 1),
      )
    })

    test('an attempt gets a fresh copy of the data', async () => {
      await using bus = await openOn(create().engine())
      const seen: unknown[] = []
      bus.consume(lane, group('g'), (event) => {
        seen.push({ ...event.data })
        Object.assign(event.data, { n: -1 })
        if (event.attempt < 2) throw new Error('again')
      })
      await bus.publish(lane, { key: 'k', n: 5 })
      await until(() => seen.length === 2)
      assert.deepEqual(seen, [
        { key: 'k', n: 5 },
        { key: 'k', n: 5 },
      ])
    })
  })

  describe(`where a group starts on ${name}`, () => {
    test('latest and a time: what came before is not handed out', async () => {
      const world = create()
      await using bus = await withEvents(world, 3)
      const last = (await readAll(bus, lane)).at(-1)!.appendTime
      await until(() => Date.now() > last)
      const between = Date.now()
      const seen: Record<string, number[]> = { latest: [], time: [], earliest: [] }
      for (const [kind, startAt] of [
        ['latest', 'latest'],
        ['time', { time: between }],
        ['earliest', 'earliest'],
      ] as const) {
        bus.consume(lane, group(kind, { startAt }), (event) => {
          seen[kind]?.push(event.data.n)
        })
        await untilCaughtUp(bus, kind)
      }
      await bus.publish(lane, { key: 'k', n: 3 })
      for (const kind of Object.keys(seen)) await untilCaughtUp(bus, kind)
      assert.deepEqual(seen, { latest: [3], time: [3], earliest: [0, 1, 2, 3] })
    })

    test('a group that has a position goes on there, whatever startAt says', async () => {
      const world = create()
      const bus = await withEvents(world, 2)
      bus.consume(lane, group('g'), () => undefined)
      await untilCaughtUp(bus, 'g')
      await bus.publish(counts, { key: 'a', n: 0, count: 0 })
      await bus.stop()
      const offline = await openOn(world.engine())
      await offline.publish(lane, { key: 'k', n: 2 })
      const seen: number[] = []
      offline.consume(lane, group('g', { startAt: 'latest' }), (event) => {
        seen.push(event.data.n)
      })
      await untilCaughtUp(offline, 'g')
      await offline.stop()
      assert.deepEqual(seen, [2])
    })

    test('D6: where the log was replaced, the task says LOG_REGRESSED and handles nothing', async () => {
      const world = create()
      const bus = await withEvents(world, 3)
      bus.consume(lane, group('g'), () => undefined)
      await untilCaughtUp(bus, 'g')
      await bus.stop()

      const inner = world.engine()
      const replaced = wrapEngine(inner, {
        load: async (lease) => ({ ...(await inner.load(lease)), logId: 'another log' }),
      })
      await using again = await openOn(replaced)
      let handled = 0
      const consumer = again.consume(lane, group('g'), () => {
        handled++
      })
      await again.publish(lane, { key: 'k', n: 3 })
      await until(() => consumer.tasks()[0]?.error !== undefined)
      assert.ok(hasCode(consumer.tasks()[0]?.error, 'LOG_REGRESSED'))
      assert.equal(handled, 0)
    })

    test('D6: so it does where the log is shorter than the position', async () => {
      const world = create()
      const bus = await withEvents(world, 3)
      bus.consume(lane, group('g'), () => undefined)
      await untilCaughtUp(bus, 'g')
      await bus.stop()

      const inner = world.engine()
      const short = wrapEngine(inner, { bounds: async () => [{ earliest: 0, end: 1 }] })
      await using again = await openOn(short)
      const consumer = again.consume(lane, group('g'), () => assert.fail('nothing is handled'))
      await until(() => consumer.tasks()[0]?.error !== undefined)
      const error = consumer.tasks()[0]?.error as { code?: string; actual?: number; end?: number }
      assert.deepEqual([error.code, error.actual, error.end], ['LOG_REGRESSED', 3, 1])
    })
  })
}
