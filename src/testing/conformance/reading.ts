import assert from 'node:assert/strict'
import { limits } from '../../limits.ts'
import type { Instance } from './instance.ts'
import { contentOf, record, records, refuses } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'
import { waitUntil } from './test-bed.ts'

const hourMs = 3_600_000
const place = { topic: 'orders', partition: 0 }
const wide = { maxEvents: limits.readEventsMax, maxBytes: limits.readBytesMax }

export const readingTests: readonly Case[] = [
  check(
    'however a range is cut, it reads the same, and later scans extend earlier ones (R1)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare()
      for (const count of [1, 7, 30, 2]) await one.publish(records(count, `${count}-`))
      const all = (await one.readAll()).map(contentOf)
      assert.equal(all.length, 40)
      for (const maxEvents of [1, 2, 3, 7, 39, 40, 41]) {
        const cut = await one.readAll('orders', 0, undefined, maxEvents)
        assert.deepEqual(cut.map(contentOf), all)
      }
      await one.publish(records(3, 'later'))
      assert.deepEqual((await one.readAll()).slice(0, 40).map(contentOf), all)
    },
  ),

  check('a read may start at any event', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish(records(5, 'a'))
    await one.publish(records(5, 'b'))
    const all = await one.readAll()
    for (const [index, { offset }] of all.entries()) {
      const { events, copies, next, end } = await one.engine.read({ ...place, ...wide, offset })
      assert.deepEqual(events.map(contentOf), all.slice(index).map(contentOf))
      for (const [i, copy] of copies?.entries() ?? []) {
        if (copy !== undefined) assert.deepEqual(copy(), events[i]!.data, 'a copy is of the same data')
      }
      assert.equal(next, end)
    }
  }),

  check('a read keeps to maxEvents and says where the next one starts', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish(records(10))
    const { earliest, end } = (await one.engine.bounds('orders'))[0]!
    const first = await one.engine.read({ ...place, ...wide, offset: earliest, maxEvents: 4 })
    assert.equal(first.events.length, 4)
    assert.equal(first.end, end)
    const second = await one.engine.read({ ...place, ...wide, offset: first.next, maxEvents: 4 })
    assert.equal(second.events[0]!.id, 'e4')
  }),

  check('a read keeps about to maxBytes, and always brings one event', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const payload = 'x'.repeat(10_000)
    await one.publish(Array.from({ length: 20 }, (_, index) => record(`e${index}`, payload)))
    const { earliest } = (await one.engine.bounds('orders'))[0]!
    const few = await one.engine.read({ ...place, ...wide, offset: earliest, maxBytes: 45_000 })
    assert.ok(few.events.length >= 2 && few.events.length <= 6, `${few.events.length} events`)
    assert.ok(few.bytes >= 10_000 * few.events.length && few.bytes <= 45_000, `${few.bytes} bytes`)
    const tiny = await one.engine.read({ ...place, ...wide, offset: few.next, maxBytes: 1 })
    assert.equal(tiny.events.length, 1)
    assert.equal(tiny.events[0]!.id, `e${few.events.length}`)
  }),

  check('at the end there is nothing, above it OFFSET_OUT_OF_RANGE says what there is (R3)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const empty = (await one.engine.bounds('orders'))[0]!
    await requireNothing(one, empty.end)
    await one.publish(records(3))
    const { earliest, end } = (await one.engine.bounds('orders'))[0]!
    await requireNothing(one, end)
    const read = () => one.engine.read({ ...place, ...wide, offset: end + 1 })
    const error = await refuses('OFFSET_OUT_OF_RANGE', read)
    assert.deepEqual([error.earliest, error.end], [earliest, end])
  }),

  checkIf(
    { retention: true },
    'below what is retained, OFFSET_OUT_OF_RANGE says what there is (R3)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare()
      await one.publish(records(5, 'a'))
      await one.publish(records(5, 'b'))
      const all = await one.readAll()
      await bed.deleteBefore('orders', 0, all[7]!.offset)
      const { earliest, end } = (await one.engine.bounds('orders'))[0]!
      assert.equal(earliest, all[7]!.offset)
      const error = await refuses('OFFSET_OUT_OF_RANGE', () =>
        one.engine.read({ ...place, ...wide, offset: all[6]!.offset }),
      )
      assert.deepEqual([error.earliest, error.end], [earliest, end])
      assert.deepEqual((await one.readAll()).map(contentOf), all.slice(7).map(contentOf))
      assert.equal(await one.engine.offsetAt('orders', 0, 0), earliest)
      await one.publish(records(1, 'c'))
      assert.deepEqual(await one.ids(), ['b2', 'b3', 'b4', 'c0'])
    },
  ),

  check('offsetAt finds the first event at or after a time (R2)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    assert.equal(await one.engine.offsetAt('orders', 0, 0), (await one.engine.bounds('orders'))[0]!.end)
    for (let i = 0; i < 5; i++) {
      await one.publish(records(2, `${i}-`))
      bed.shiftClock(10)
    }
    const events = await one.readAll()
    const times = [
      0,
      ...new Set(events.flatMap(({ appendTime }) => [appendTime - 1, appendTime, appendTime + 1])),
    ]
    for (const time of times) {
      const { end } = (await one.engine.bounds('orders'))[0]!
      const expected = events.find(({ appendTime }) => appendTime >= time)?.offset ?? end
      assert.equal(await one.engine.offsetAt('orders', 0, time), expected, `at ${time}`)
    }
  }),

  checkIf(
    { appendClock: 'process' },
    'append times follow the clock forwards and never backwards (R2)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ partitions: 2 })
      const before = one.platform.clock.now()
      await one.publish([record('a')])
      bed.shiftClock(hourMs)
      const later = one.platform.clock.now()
      await one.publish([record('b')])
      bed.shiftClock(-2 * hourMs)
      await one.publish([record('c')])
      const again = await bed.reopen(one)
      await again.publish([record('d')])
      bed.shiftClock(4 * hourMs)
      const latest = again.platform.clock.now()
      await again.publish([record('e')])
      const times = (await again.readAll()).map(({ appendTime }) => Math.floor(appendTime))
      assert.deepEqual(
        times,
        [...times].sort((a, b) => a - b),
      )
      assert.ok(times[0]! >= Math.floor(before) && times[1]! >= Math.floor(later), times.join())
      assert.ok(times[4]! >= Math.floor(latest), times.join())
      const found = await again.engine.offsetAt('orders', 0, later)
      assert.equal((await again.readAll('orders', 0, found))[0]!.id, 'b')
    },
  ),

  check('bounds answer every partition in order', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 12 })
    for (const partition of [11, 3, 3])
      await one.publish([record(`${partition}`)], { partition }).catch(() => 0)
    const ends = (await one.engine.bounds('orders')).map(({ earliest, end }) => end > earliest)
    assert.deepEqual(
      ends.flatMap((filled, partition) => (filled ? [partition] : [])),
      [3, 11],
    )
  }),

  check('onAppend tells soon that there is something, until it is stopped', async (bed) => {
    const one = await bed.instance()
    await one.declare({}, { name: 'emitted' })
    let hints = 0
    const stop = one.engine.onAppend(() => {
      hints += 1
    })
    await one.publish([record('a')])
    await waitUntil('a hint after append', () => hints > 0)
    const lease = await one.lease()
    const before = hints
    const batch = { topic: 'emitted', partition: 0, records: [record('b')], callOf: undefined, fresh: false }
    await one.commit(lease, undefined, 0, { appends: [batch] })
    await waitUntil('a hint after commit', () => hints > before)
    stop()
    stop()
    const last = hints
    await one.publish([record('c')])
    await one.readAll()
    assert.equal(hints, last)
  }),

  check('onAppend leaves no place out', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 4 }, { name: 'emitted' })
    const told = new Set<string>()
    const stop = one.engine.onAppend((places) => {
      if (places === undefined) told.add('anywhere')
      for (const { topic, partition } of places ?? []) told.add(`${topic}/${partition}`)
    })
    const isTold = (name: string) => () => told.has(name) || told.has('anywhere')
    await one.publishCalls([
      [{ topic: 'orders', partition: 2, records: [record('a')] }],
      [
        { topic: 'orders', partition: 3, records: [record('b')] },
        { topic: 'emitted', partition: 0, records: [record('c')] },
      ],
    ])
    for (const name of ['orders/2', 'orders/3', 'emitted/0']) await waitUntil(name, isTold(name))
    stop()
  }),

  checkIf({ instances: 'many' }, 'other engines read what one appended', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await one.declare()
    await two.declare()
    await one.publish(records(3))
    assert.deepEqual((await two.readAll()).map(contentOf), (await one.readAll()).map(contentOf))
  }),
]

/** A read at the end: no events, and it stays there. */
async function requireNothing({ engine }: Instance, end: number): Promise<void> {
  const { events, bytes, next, end: told } = await engine.read({ ...place, ...wide, offset: end })
  assert.deepEqual({ events, bytes, next, end: told }, { events: [], bytes: 0, next: end, end })
}
