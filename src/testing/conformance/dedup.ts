import assert from 'node:assert/strict'
import type { EventRecord } from '../../event/event.ts'
import { appendedOf } from './instance.ts'
import { batchOf, record, records, refuses } from './records.ts'
import { type Case, checkIf } from './suite.ts'

const windowMs = 3_600_000
const needs = { dedup: 'topic' } as const
const needsClock = { dedup: 'topic', appendClock: 'process' } as const

export const dedupTests: readonly Case[] = [
  checkIf(needs, 'many publishes of an id give one event, and every answer its offset (N1)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { offsets } = await one.publish([record('x'), record('a')])
    for (let i = 0; i < 3; i++) {
      const again = await one.publish([record(`new${i}`), record('a')])
      assert.deepEqual(again.duplicates, [1])
      assert.equal(again.offsets[1], offsets[1])
    }
    assert.deepEqual(await one.ids(), ['x', 'a', 'new0', 'new1', 'new2'])
  }),

  checkIf(needs, 'in one call, and in several calls of one group', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const place = { topic: 'orders', partition: 0 }
    const result = await one.publishCalls([
      [{ ...place, records: [record('a'), record('b'), record('a')] }],
      [{ ...place, records: [record('b'), record('c')] }],
    ])
    const { offsets, duplicates } = appendedOf(result, 0, 5)
    assert.deepEqual(await one.ids(), ['a', 'b', 'c'])
    assert.deepEqual(duplicates, [2, 3])
    assert.equal(offsets[2], offsets[0])
    assert.equal(offsets[3], offsets[1])
    assert.equal(offsets[4], (await one.readAll())[2]!.offset)
  }),

  checkIf(needs, 'a group of nothing but duplicates appends nothing', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 })
    const { offsets } = await one.publish(records(4))
    const again = await one.publish(records(4))
    assert.deepEqual(again, { offsets, duplicates: [0, 1, 2, 3] })
    assert.equal((await one.readAll()).length, 4)
  }),

  checkIf(needs, 'the scope is the topic: other partitions know the id, other topics do not', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 }, { name: 'invoices' })
    await one.publish(records(3, 'x'))
    const { offsets } = await one.publish([record('a')])
    const elsewhere = await one.publish([record('a')], { partition: 1 })
    assert.deepEqual(elsewhere, { offsets, duplicates: [0] })
    assert.deepEqual(await one.ids('orders', 1), [])
    assert.deepEqual((await one.publish([record('a')], { topic: 'invoices' })).duplicates, [])
    assert.deepEqual(await one.ids('invoices'), ['a'])
  }),

  checkIf(needs, 'ids are compared exactly (N5)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const ids = ['a', 'A', 'a ', ' a', 'á', 'a\u0301', '__proto__', 'constructor', '1', '01', '😀']
    await one.publish(ids.map((id) => record(id)))
    assert.deepEqual(await one.ids(), ids)
    const again = await one.publish(ids.map((id) => record(id)))
    assert.equal(again.duplicates.length, ids.length)
  }),

  checkIf(needs, 'content decides, not tracing, times or the order of members (N2)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish([record('a', { x: 1, y: 2 }, { time: 1, attributes: { traceparent: 'first' } })])
    const retry = record('a', { y: 2, x: 1 }, { time: 2, attributes: { traceparent: 'second' } })
    assert.deepEqual((await one.publish([retry])).duplicates, [0])
    const others: readonly EventRecord[] = [
      record('a', { x: 1, y: 3 }),
      record('a', { x: 1, y: 2 }, { type: 'other' }),
      record('a', { x: 1, y: 2 }, { source: '/other' }),
      record('a', { x: 1, y: 2 }, { key: 'other' }),
      record('a', { x: 1, y: 2 }, { attributes: { subject: 'other' } }),
    ]
    for (const other of others) await refuses('ID_CONFLICT', () => one.publish([other]))
    assert.equal((await one.readAll()).length, 1)
  }),

  checkIf(needs, 'a topic without a window remembers nothing', async (bed) => {
    const one = await bed.instance()
    await one.declare({ dedupWindowMs: 0 })
    await one.publish([record('a'), record('a')])
    const again = await one.publish([record('a', 'other content')])
    assert.deepEqual(again.duplicates, [])
    assert.deepEqual(await one.ids(), ['a', 'a', 'a'])
  }),

  checkIf(needs, 'the memory survives reopening (N4)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { offsets } = await one.publish(records(100))
    const again = await bed.reopen(one)
    await again.declare()
    assert.deepEqual((await again.publish([record('e42')])).offsets, [offsets[42]])
    await refuses('ID_CONFLICT', () => again.publish([record('e7', 'other')]))
    assert.equal((await again.readAll()).length, 100)
  }),

  checkIf(needs, 'fresh ids are not looked up but remembered', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { offsets } = await one.publish(records(3, 'f'), { fresh: true })
    assert.deepEqual((await one.publish([record('f1')])).offsets, [offsets[1]])
    await refuses('ID_CONFLICT', () => one.publish([record('f2', 'other')]))
    const mixed = await one.append({
      calls: 2,
      batches: [batchOf(records(2, 'g'), { fresh: true }), batchOf([record('f0'), record('h')])],
      failuresSeen: one.failures,
    })
    assert.deepEqual(appendedOf(mixed, 1, 2).duplicates, [0])
    const again = await bed.reopen(one)
    assert.deepEqual((await again.publish([record('f1')])).duplicates, [0])
    assert.deepEqual(await again.ids(), ['f0', 'f1', 'f2', 'g0', 'g1', 'h'])
  }),

  checkIf({ ...needs, instances: 'many' }, 'an id is known to every engine on the storage', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await one.declare()
    await two.declare()
    const { offsets } = await one.publish(records(5))
    assert.deepEqual(await two.publish(records(5)), { offsets, duplicates: [0, 1, 2, 3, 4] })
    await refuses('ID_CONFLICT', () => two.publish([record('e0', 'other')]))
  }),

  checkIf(
    { ...needs, instances: 'many' },
    'engines that publish an id at once agree on one event',
    async (bed) => {
      const [one, two] = [await bed.instance(), await bed.instance()]
      await one.declare({ partitions: 2 })
      await two.declare({ partitions: 2 })
      for (let round = 0; round < 20; round++) {
        const answers = await Promise.all(
          [one, two, one, two].map((each, index) =>
            each.publish([record(`r${round}`)], { partition: index % 2 }),
          ),
        )
        assert.equal(new Set(answers.map(({ offsets }) => offsets[0])).size, 1)
        assert.equal(answers.filter(({ duplicates }) => duplicates.length === 0).length, 1)
      }
      assert.equal((await one.ids()).length + (await one.ids('orders', 1)).length, 20)
    },
  ),
]

export const windowTests: readonly Case[] = [
  checkIf(needsClock, 'the window is open until its last moment, then the id is new (N3)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ dedupWindowMs: windowMs })
    const { offsets } = await one.publish([record('a')])
    bed.shiftClock(windowMs - 60_000)
    assert.deepEqual(await one.publish([record('a')]), { offsets, duplicates: [0] })
    bed.shiftClock(120_000)
    const later = await one.publish([record('a', 'other content is fine now')])
    assert.deepEqual(later.duplicates, [])
    assert.ok(later.offsets[0]! > offsets[0]!)
    assert.deepEqual((await one.publish([record('a', 'other content is fine now')])).duplicates, [0])
  }),

  checkIf(needsClock, 'duplicates do not extend the window (N3)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ dedupWindowMs: windowMs })
    await one.publish([record('a')])
    for (let i = 0; i < 3; i++) {
      bed.shiftClock(windowMs / 4)
      assert.deepEqual((await one.publish([record('a')])).duplicates, [0])
    }
    bed.shiftClock(windowMs / 2)
    assert.deepEqual((await one.publish([record('a')])).duplicates, [])
  }),

  checkIf(needsClock, 'the window goes on while the engine is closed (N3, N4)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ dedupWindowMs: windowMs })
    await one.publish([record('a')])
    bed.shiftClock(windowMs / 2)
    await one.publish([record('b')])
    const again = await bed.reopen(one)
    bed.shiftClock(windowMs / 2 + 60_000)
    assert.deepEqual((await again.publish([record('a'), record('b')])).duplicates, [1])
  }),

  checkIf(
    needsClock,
    'a wall clock that steps back forgets nothing and keeps nothing for longer (N3)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ dedupWindowMs: windowMs })
      await one.publish([record('a')])
      bed.shiftClock(-10 * windowMs)
      assert.deepEqual((await one.publish([record('a'), record('b')])).duplicates, [0])
      bed.shiftClock(10 * windowMs + windowMs / 2)
      assert.deepEqual((await one.publish([record('a'), record('b')])).duplicates, [0, 1])
      bed.shiftClock(windowMs)
      assert.deepEqual((await one.publish([record('a'), record('b')])).duplicates, [])
    },
  ),

  checkIf(
    { ...needs, retention: true },
    'ids are remembered when their events are gone (N4)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare()
      const { offsets } = await one.publish(records(4))
      await bed.deleteBefore('orders', 0, 3)
      assert.deepEqual((await one.publish([record('e1')])).offsets, [offsets[1]])
      await refuses('ID_CONFLICT', () => one.publish([record('e2', 'other')]))
      const again = await bed.reopen(one)
      assert.deepEqual((await again.publish([record('e0')])).duplicates, [0])
      assert.deepEqual(await again.ids(), ['e3'])
    },
  ),
]
