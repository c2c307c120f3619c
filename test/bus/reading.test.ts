import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryLog, memory } from '../../src/engines/memory/index.ts'
import { type LogEvent, openBus, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { storageFailure, wrapEngine } from '../support/wrap-engine.ts'

const one = topic<{ n: number }>('one', { partitions: 1 })
const four = topic<{ n: number }>('four', { partitions: 4 })

for (const { name, create } of worlds) {
  describe(`reading on ${name}`, () => {
    test('R1: two scans agree, and a later one extends an earlier one', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      await bus.publishMany(Array.from({ length: 300 }, (_, n) => one.event({ n })))
      const first = await readAll(bus, one)
      const second = await readAll(bus, one)
      await bus.publish(one, { n: 300 })
      const third = await readAll(bus, one)

      assert.deepEqual(second, first)
      assert.deepEqual(third.slice(0, 300), first)
      assert.equal(third.length, 301)
    })

    test('from an offset, until an offset, from the end', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      await bus.publishMany(Array.from({ length: 10 }, (_, n) => one.event({ n })))

      const middle = await readAll(bus, one, { partition: 0, from: { offset: 3 }, until: 6 })
      const end = await readAll(bus, one, { partition: 0, from: { offset: 10 } })

      assert.deepEqual(
        middle.map(({ offset }) => offset),
        [3, 4, 5],
      )
      assert.deepEqual(end, [])
      assert.deepEqual(await readAll(bus, one, { from: 'latest' }), [])
    })

    test('R2: from a time gives the first event appended at or after it', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      await bus.publish(one, { n: 1 })
      const [first] = await readAll(bus, one)
      await until(() => Date.now() > first!.appendTime)
      await bus.publish(one, { n: 2 })
      const second = (await readAll(bus, one))[1]!

      const later = await readAll(bus, one, { from: { time: second.appendTime } })
      const all = await readAll(bus, one, { from: { time: new Date(first!.appendTime) } })
      const none = await readAll(bus, one, { from: { time: second.appendTime + 60_000 } })

      assert.deepEqual([later.length, all.length, none.length], [1, 2, 0])
    })

    test('all partitions are merged, each in its own order', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [four] })
      await bus.publishMany(Array.from({ length: 200 }, (_, n) => four.event({ n })))

      const events = await readAll(bus, four)

      assert.equal(new Set(events.map(({ data }) => data.n)).size, 200)
      for (const partition of [0, 1, 2, 3]) {
        const own = events.filter((event) => event.partition === partition)
        assert.deepEqual(
          own.map(({ offset }) => offset),
          own.map((_, i) => i),
        )
      }
    })

    test('a live tail gives what comes later, and ends quietly with its signal', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [four] })
      const abort = new AbortController()
      const seen: LogEvent[] = []
      const reading = (async () => {
        for await (const event of bus.read(four, { follow: true, signal: abort.signal })) seen.push(event)
      })()

      for (let n = 0; n < 20; n++) await bus.publish(four, { n })
      await until(() => seen.length === 20)
      abort.abort()

      await reading
      assert.equal(new Set(seen.map(({ id }) => id)).size, 20)
    })

    test('a tail that is left lets go; one that is open ends when the bus stops', async () => {
      const bus = await openBus({ engine: create().engine(), topics: [four] })
      await bus.publish(four, { n: 1 })
      for await (const event of bus.read(four, { follow: true })) {
        assert.equal(event.data.n, 1)
        break
      }
      let seen = 0
      const open = (async () => {
        for await (const _event of bus.read(four, { follow: true })) seen++
      })()
      await until(() => seen === 1)
      await bus.stop()
      await open
    })

    test('a tail that was left may fail behind our back without ending the process', async () => {
      const inner = create().engine()
      let broken = false
      const engine = wrapEngine(inner, {
        read: async (request) => {
          if (broken) throw storageFailure('not-applied')
          return await inner.read(request)
        },
      })
      await using bus = await openBus({ engine, topics: [four] })
      await bus.publishMany(Array.from({ length: 8 }, (_, n) => four.event({ n })))
      for await (const _event of bus.read(four, { follow: true })) {
        broken = true
        break
      }
      await bus.publish(four, { n: 9 })
      assert.equal((await bus.status()).topics[0]?.topic, 'four')
    })

    test('R3: outside the log is an error with its bounds, and no jump', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      await bus.publish(one, { n: 1 })

      const error = await failsWith(
        'OFFSET_OUT_OF_RANGE',
        readAll(bus, one, { partition: 0, from: { offset: 5 } }),
      )

      assert.deepEqual([error.earliest, error.end], [0, 1])
    })
  })
}

test('R3: below the earliest retained offset is an error that names it', async () => {
  const log = new MemoryLog()
  await using bus = await openBus({ engine: memory({ log }), topics: [one] })
  await bus.publishMany(Array.from({ length: 10 }, (_, n) => one.event({ n })))
  log.deleteBefore('one', 0, 4)

  const error = await failsWith(
    'OFFSET_OUT_OF_RANGE',
    readAll(bus, one, { partition: 0, from: { offset: 3 } }),
  )

  assert.deepEqual([error.earliest, error.end], [4, 10])
  assert.equal((await readAll(bus, one)).length, 6)
})
