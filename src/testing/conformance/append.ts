import assert from 'node:assert/strict'
import { limits } from '../../limits.ts'
import { realPlatform } from '../../platform/real-platform.ts'
import { appendedOf } from './instance.ts'
import { batchOf, contentOf, record, records } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'

/** Lets the writer's answers in, also where reading never leaves the thread. */
function turn(): Promise<void> {
  return new Promise((resolve) => realPlatform.timers.soon(resolve))
}

export const appendTests: readonly Case[] = [
  check('offsets grow in the order of the records, and reading gives the same (P1)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const first = await one.publish(records(3, 'a'))
    const second = await one.publish(records(2, 'b'))
    const events = await one.readAll()
    assert.deepEqual(
      events.map(({ id }) => id),
      ['a0', 'a1', 'a2', 'b0', 'b1'],
    )
    assert.deepEqual(
      events.map(({ offset }) => offset),
      [...first.offsets, ...second.offsets],
    )
    for (const [index, event] of events.entries()) {
      assert.ok(index === 0 || event.offset > events[index - 1]!.offset)
    }
  }),

  checkIf({ denseOffsets: true }, 'offsets begin at 0 and have no holes', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 })
    assert.deepEqual((await one.publish(records(3, 'a'))).offsets, [0, 1, 2])
    assert.deepEqual((await one.publish(records(2, 'b'))).offsets, [3, 4])
    assert.deepEqual((await one.publish(records(1, 'c'), { partition: 1 })).offsets, [0])
    assert.deepEqual(await one.engine.bounds('orders'), [
      { earliest: 0, end: 5 },
      { earliest: 0, end: 1 },
    ])
  }),

  check('a group holds calls to several partitions and topics, each batch with its answer', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 }, { name: 'invoices' })
    const result = await one.publishCalls([
      [
        { topic: 'orders', partition: 0, records: records(2, 'a') },
        { topic: 'invoices', partition: 0, records: records(1, 'a') },
      ],
      [
        { topic: 'orders', partition: 1, records: records(3, 'b') },
        { topic: 'orders', partition: 0, records: records(1, 'c') },
      ],
    ])
    assert.equal(result.failures.size, 0)
    const offsets = [3, 1, 3].map((count, batch) => appendedOf(result, batch, count).offsets)
    const places = [await one.readAll(), await one.readAll('invoices'), await one.readAll('orders', 1)]
    assert.deepEqual(
      places.map((events) => events.map(({ offset }) => offset)),
      offsets,
    )
    assert.deepEqual(await one.ids(), ['a0', 'a1', 'c0'])
    assert.deepEqual(await one.ids('orders', 1), ['b0', 'b1', 'b2'])
  }),

  check('one group may name a partition in several batches', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const batches = [batchOf(records(2, 'a')), batchOf(records(2, 'b'))]
    const result = await one.append({ calls: 1, batches, failuresSeen: 0 })
    const events = await one.readAll()
    assert.deepEqual(
      events.map(({ id }) => id),
      ['a0', 'a1', 'b0', 'b1'],
    )
    assert.deepEqual(
      events.map(({ offset }) => offset),
      [...appendedOf(result, 0, 2).offsets, ...appendedOf(result, 1, 2).offsets],
    )
  }),

  check('calls that are under way at once keep their order (P2)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 })
    const calls = Array.from({ length: 50 }, (_, call) => call)
    const results = await Promise.all(
      calls.map((call) => one.publish(records(3, `${call}-`), { partition: call % 2 })),
    )
    for (const partition of [0, 1]) {
      const mine = calls.filter((call) => call % 2 === partition)
      assert.deepEqual(
        await one.ids('orders', partition),
        mine.flatMap((call) => [`${call}-0`, `${call}-1`, `${call}-2`]),
      )
      const offsets = (await one.readAll('orders', partition)).map(({ offset }) => offset)
      assert.deepEqual(
        mine.flatMap((call) => results[call]!.offsets),
        offsets,
      )
    }
  }),

  check('every durability that the facts offer can be asked for', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    for (const durability of one.engine.facts.durability) {
      const group = { calls: 1, batches: [batchOf([record(durability)])], failuresSeen: 0 }
      assert.equal((await one.engine.append(group, { durability })).failures.size, 0)
    }
    assert.deepEqual(await one.ids(), one.engine.facts.durability)
  }),

  check('the largest call there can be', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { offsets } = await one.publish(records(limits.publishManyEventsMax))
    assert.equal(offsets.length, limits.publishManyEventsMax)
    const events = await one.readAll()
    assert.equal(events.length, limits.publishManyEventsMax)
    assert.equal(events.at(-1)!.id, `e${limits.publishManyEventsMax - 1}`)
    assert.equal(events.at(-1)!.offset, offsets.at(-1))
  }),

  check('after reopening, appending goes on at the end and old events are unchanged (P1)', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { offsets } = await one.publish(records(3, 'a'))
    const before = await one.readAll()
    const again = await bed.reopen(one)
    await again.declare()
    const after = await again.publish(records(1, 'b'))
    assert.ok(after.offsets[0]! > offsets[2]!)
    const events = await again.readAll()
    assert.deepEqual(events.slice(0, 3).map(contentOf), before.map(contentOf))
    assert.deepEqual(
      events.slice(0, 3).map(({ appendTime }) => appendTime),
      before.map(({ appendTime }) => appendTime),
    )
  }),

  checkIf(
    { instances: 'many' },
    'several engines append to one partition: nothing lost, no offset twice',
    async (bed) => {
      const engines = [await bed.instance(), await bed.instance(), await bed.instance()]
      await engines[0]!.declare()
      for (const each of engines) await each.declare()
      const rounds = Array.from({ length: 10 }, (_, round) => round)
      const appended = await Promise.all(
        engines.flatMap((each, e) => rounds.map((round) => each.publish(records(2, `${e}-${round}-`)))),
      )
      const events = await engines[0]!.readAll()
      assert.deepEqual(
        events.map(({ offset }) => offset),
        appended.flatMap(({ offsets }) => offsets).sort((a, b) => a - b),
      )
      for (const e of engines.keys()) {
        const mine = events.map(({ id }) => id).filter((id) => id.startsWith(`${e}-`))
        assert.deepEqual(
          mine,
          rounds.flatMap((round) => [`${e}-${round}-0`, `${e}-${round}-1`]),
        )
      }
    },
  ),

  checkIf(
    { atomicVisibility: true },
    'whoever saw one event of a call sees all of it in reads that start later (P3)',
    async (bed) => {
      const writer = await bed.instance()
      const reader = bed.options.instances === 'many' ? await bed.instance() : writer
      await writer.declare({ partitions: 3 }, { name: 'invoices' })
      await reader.declare({ partitions: 3 }, { name: 'invoices' })
      const places = [0, 1, 2].map((partition) => ({ topic: 'orders', partition }))
      places.push({ topic: 'invoices', partition: 0 })
      let done = false
      const write = async (): Promise<void> => {
        for (let call = 0; call < 60; call++) {
          const parts = places.map((place, p) => ({ ...place, records: [record(`${call}`, { p })] }))
          const order = call % 2 === 0 ? parts : parts.reverse()
          await writer.publishCalls([order])
        }
        done = true
      }
      const writing = write()
      for (let first = 0; !done; first = (first + 1) % places.length) {
        const order = [...places.slice(first), ...places.slice(0, first)]
        const seen = await reader.ids(order[0]!.topic, order[0]!.partition)
        await turn()
        for (const { topic, partition } of order.slice(1)) {
          const later = new Set(await reader.ids(topic, partition))
          for (const id of seen) assert.ok(later.has(id), `${id} is in ${topic}/${partition} too`)
        }
      }
      await writing
    },
  ),
]
