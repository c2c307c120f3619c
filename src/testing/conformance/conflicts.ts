import assert from 'node:assert/strict'
import { appendedOf, type Call } from './instance.ts'
import { isRefusal, record, records } from './records.ts'
import { type Case, checkIf } from './suite.ts'

const needs = { dedup: 'topic' } as const

function call(partition: number, ...ids: readonly string[]): Call {
  return [{ topic: 'orders', partition, records: ids.map((id) => record(id)) }]
}

function conflicting(partition: number, ...ids: readonly string[]): Call {
  return [{ topic: 'orders', partition, records: ids.map((id) => record(id, 'other content')) }]
}

export const conflictTests: readonly Case[] = [
  checkIf(
    needs,
    'a known id with other content fails its whole call, in all partitions, and no other (N2)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ partitions: 3 }, { name: 'invoices' })
      await one.publish([record('known')])
      const result = await one.publishCalls([
        call(1, 'a'),
        [
          { topic: 'invoices', partition: 0, records: [record('never-1')] },
          { topic: 'orders', partition: 0, records: [record('never-2'), record('known', 'other content')] },
        ],
        call(2, 'b'),
      ])
      assert.deepEqual([...result.failures.keys()], [1])
      const error = isRefusal(result.failures.get(1), 'ID_CONFLICT')
      assert.equal(error.index, 1)
      assert.equal(error.retryable, false)
      assert.deepEqual(await one.ids(), ['known'])
      assert.deepEqual(await one.ids('invoices'), [])
      assert.deepEqual([await one.ids('orders', 1), await one.ids('orders', 2)], [['a'], ['b']])
    },
  ),

  checkIf(needs, 'the index is the record’s place in its batch', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish([record('known')])
    const result = await one.publishCalls([call(0, 'a', 'b'), [...call(0, 'c'), ...conflicting(0, 'known')]])
    assert.equal(isRefusal(result.failures.get(1), 'ID_CONFLICT').index, 3)
    assert.deepEqual(await one.ids(), ['known', 'a', 'b'])
    const { offsets } = appendedOf(result, 0, 4)
    assert.deepEqual(
      offsets.slice(0, 2),
      (await one.readAll()).slice(1).map(({ offset }) => offset),
    )
  }),

  checkIf(
    needs,
    'an id twice with different content in one call, or in two calls of a group',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ partitions: 2 })
      const inOne = await one.publishCalls([[...call(0, 'a'), ...conflicting(0, 'a')]])
      isRefusal(inOne.failures.get(0), 'ID_CONFLICT')
      assert.deepEqual(await one.ids(), [])
      const inTwo = await one.publishCalls([call(1, 'b'), conflicting(1, 'b')])
      assert.deepEqual([...inTwo.failures.keys()], [1])
      assert.deepEqual(await one.ids('orders', 1), ['b'])
    },
  ),

  checkIf(needs, 'a failed call leaves no memory of its ids', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 })
    await one.publish([record('known')])
    await one.publishCalls([[...call(0, 'a'), ...conflicting(0, 'known')]])
    const again = await one.publishCalls([[{ topic: 'orders', partition: 1, records: [record('a', 'new')] }]])
    assert.equal(again.failures.size, 0)
    assert.deepEqual(appendedOf(again, 0, 1).duplicates, [])
    assert.deepEqual(await one.ids('orders', 1), ['a'])
  }),

  checkIf(needs, 'later calls of the group to a touched partition fail too, retryable (P2)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 4 })
    await one.publish([record('known')])
    const result = await one.publishCalls([
      call(0, 'before'),
      [...conflicting(0, 'known'), ...call(1, 'x')],
      [...call(1, 'y'), ...call(2, 'y2')],
      call(2, 'z'),
      call(3, 'free'),
      call(0, 'w'),
    ])
    assert.deepEqual([...result.failures.keys()].sort(), [1, 2, 3, 5])
    isRefusal(result.failures.get(1), 'ID_CONFLICT')
    for (const failed of [2, 3, 5]) {
      assert.equal(isRefusal(result.failures.get(failed), 'PREDECESSOR_FAILED').retryable, true)
    }
    assert.deepEqual(await one.ids(), ['known', 'before'])
    assert.deepEqual(await one.ids('orders', 1), [])
    assert.deepEqual(await one.ids('orders', 2), [])
    assert.deepEqual(await one.ids('orders', 3), ['free'])
  }),

  checkIf(needs, 'so do groups that were sent before the failure was known (P2)', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 })
    await one.publish([record('known')])
    const [failing, unaware] = await Promise.all([
      one.publishCalls([conflicting(0, 'known')], 0),
      one.publishCalls([call(0, 'behind'), call(1, 'elsewhere')], 0),
    ])
    assert.equal(failing.failures.size, 1)
    assert.deepEqual([...unaware.failures.keys()], [0])
    assert.equal(isRefusal(unaware.failures.get(0), 'PREDECESSOR_FAILED').retryable, true)
    const halfAware = await one.publishCalls([call(0, 'still behind')], 1)
    isRefusal(halfAware.failures.get(0), 'PREDECESSOR_FAILED')
    const aware = await one.publishCalls([call(0, 'behind')], 3)
    assert.equal(aware.failures.size, 0)
    assert.deepEqual(await one.ids(), ['known', 'behind'])
    assert.deepEqual(await one.ids('orders', 1), ['elsewhere'])
  }),

  checkIf(needs, 'publishers that always know of every failure are never held up', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish([record('known')])
    for (let failures = 0; failures < 5; failures++) {
      const { failures: failed } = await one.publishCalls([conflicting(0, 'known')], failures)
      isRefusal(failed.get(0), 'ID_CONFLICT')
    }
    assert.equal((await one.publishCalls([call(0, 'fine')], 5)).failures.size, 0)
  }),

  checkIf(
    { ...needs, instances: 'many' },
    'the failures of one engine do not hold up another',
    async (bed) => {
      const [one, two] = [await bed.instance(), await bed.instance()]
      await one.declare()
      await two.declare()
      await one.publish([record('known')])
      await one.publishCalls([conflicting(0, 'known')])
      assert.deepEqual((await two.publish(records(2))).duplicates, [])
    },
  ),
]
