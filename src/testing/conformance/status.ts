import assert from 'node:assert/strict'
import type { TaskStatus } from '../../engine/status.ts'
import { storeNames } from '../../engine/store-names.ts'
import type { Instance } from './instance.ts'
import { records } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'
import { waitUntil } from './test-bed.ts'

async function taskOf(one: Instance, group: string, partition = 0): Promise<TaskStatus | undefined> {
  const { groups } = await one.engine.status()
  return groups.find((task) => task.group === group && task.partition === partition)
}

export const statusTests: readonly Case[] = [
  check('a new storage has nothing to show', async (bed) => {
    const { engine } = await bed.instance()
    const { topics, groups, members, storage } = await engine.status()
    assert.deepEqual({ topics, groups, members }, { topics: [], groups: [], members: [] })
    for (const figure of Object.values(storage)) assert.ok(['number', 'string'].includes(typeof figure))
  }),

  check('topics: bounds, last append time and duplicates of every partition', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 2 }, { name: 'invoices' })
    await one.publish(records(3))
    await one.publish(records(3, 'more'))
    const { topics } = await one.engine.status()
    assert.deepEqual(topics.map(({ topic }) => topic).sort(), ['invoices', 'orders'])
    const orders = topics.find(({ topic }) => topic === 'orders')!
    const [filled, empty] = orders.partitions
    const bounds = await one.engine.bounds('orders')
    assert.deepEqual([filled!.earliest, filled!.end], [bounds[0]!.earliest, bounds[0]!.end])
    assert.equal(filled!.lastAppendTime, (await one.readAll()).at(-1)!.appendTime)
    assert.deepEqual([empty!.lastAppendTime, empty!.duplicates, orders.partitions.length], [undefined, 0, 2])
  }),

  checkIf({ dedup: 'topic' }, 'duplicates are counted, also over reopening', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish(records(3))
    await one.publish(records(2))
    const again = await bed.reopen(one)
    await again.declare()
    await again.publish(records(1))
    const { topics } = await again.engine.status()
    assert.equal(topics[0]!.partitions[0]!.duplicates, 3)
  }),

  check('tasks: position, what waits there, epoch and owner', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    await one.publish(records(3))
    const events = await one.readAll()
    const member = await one.join('billing', { orders: 1 })
    await member.holds(1)
    const lease = member.lease('orders', 0)
    const held = await taskOf(one, 'billing')
    assert.deepEqual([held?.position, held?.epoch, held?.owner], [undefined, lease.epoch, one.member])
    await one.commit(lease, undefined, events[1]!.offset)
    const waiting = await taskOf(one, 'billing')
    assert.deepEqual([waiting?.position, waiting?.waitingSince], [events[1]!.offset, events[1]!.appendTime])
    const { end } = (await one.engine.bounds('orders'))[0]!
    await one.commit(lease, events[1]!.offset, end)
    assert.equal((await taskOf(one, 'billing'))?.waitingSince, undefined)
    await member.leave()
    const left = await taskOf(one, 'billing')
    assert.deepEqual([left?.position, left?.epoch, left?.owner], [end, lease.epoch, undefined])
  }),

  check('tasks: open dead letters', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    const store = storeNames.deadLetters
    await one.commit(lease, undefined, 1, {
      state: [{ store, keys: ['0001', '0002'], values: ['a', 'b'] }],
    })
    assert.equal((await taskOf(one, 'billing'))?.deadLetters, 2)
    await one.commit(lease, 1, 1, { state: [{ store, keys: ['0001'], values: [undefined] }] })
    assert.equal((await taskOf(one, 'billing'))?.deadLetters, 1)
  }),

  checkIf({ ownership: 'lease-table' }, 'members: what they reported and how long ago', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const member = await one.join('billing', { orders: 1 }, 300)
    await member.holds(1)
    member.report = { inFlight: 3, retries: 1, handled: 42, commitMs: { p50: 1.5, p99: 9 } }
    await waitUntil('the next report', async () => {
      const { members } = await one.engine.status()
      return members[0]?.report.handled === 42
    })
    const [status] = (await one.engine.status()).members
    assert.deepEqual([status!.group, status!.member, status!.report], ['billing', one.member, member.report])
    assert.ok(status!.silentMs >= 0 && status!.silentMs < 10_000, `${status!.silentMs}`)
    await member.leave()
    assert.deepEqual((await one.engine.status()).members, [])
  }),
]
