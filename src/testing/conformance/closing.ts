import assert from 'node:assert/strict'
import type { Engine, Lease } from '../../engine/engine.ts'
import { batchOf, record, records, refuses } from './records.ts'
import { type Case, check } from './suite.ts'

const task = { group: 'billing', topic: 'orders', partition: 0 }
const lease: Lease = { task, epoch: 1 }
const nobody = { assigned: () => undefined, revoked: async () => undefined }
const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })

/** Every operation of the port, so that what holds for all is written once. */
const operations: Readonly<Record<string, (engine: Engine) => unknown>> = {
  declareTopics: (engine) => engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }]),
  append: (engine) => {
    const group = { calls: 1, batches: [batchOf([record('a')])], failuresSeen: 0 }
    return engine.append(group, { durability: engine.facts.durability[0]! })
  },
  read: (engine) => engine.read({ topic: 'orders', partition: 0, offset: 0, maxEvents: 1, maxBytes: 1 }),
  bounds: (engine) => engine.bounds('orders'),
  offsetAt: (engine) => engine.offsetAt('orders', 0, 0),
  onAppend: (engine) => engine.onAppend(() => undefined),
  join: (engine) => {
    const topics = [{ topic: 'orders', partitions: 1 }]
    return engine.join({ group: 'billing', topics, leaseMs: 10_000, report }, nobody)
  },
  load: (engine) => engine.load(lease),
  readState: (engine) => engine.readState(task, 's', ['k']),
  stores: (engine) => engine.stores(task),
  seal: (engine) => engine.seal({ topic: 'orders', holder: 'move', step: 'release' }),
  scanState: (engine) => engine.scanState({ task, store: 's', after: undefined, limit: 1 }),
  commit: (engine) => {
    return engine.commit({ lease, from: undefined, to: 0, logId: 'x', appends: [], state: [] })
  },
  begin: (engine) => engine.begin(lease, new AbortController().signal),
  status: (engine) => engine.status(),
}

const wrongOffsets = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]

export const closingTests: readonly Case[] = [
  ...Object.entries(operations).map(([name, run]) => {
    return check(`${name} says BUS_CLOSED before opening and after closing`, async (bed) => {
      const one = bed.unopened()
      await refuses('BUS_CLOSED', async () => run(one.engine))
      await one.open()
      await one.declare()
      await one.engine.close()
      await refuses('BUS_CLOSED', async () => run(one.engine))
    })
  }),

  check('opening twice is refused, closing twice is fine', async (bed) => {
    const one = await bed.instance()
    await refuses('ENGINE_OPEN_FAILED', () => one.open())
    await one.declare()
    await Promise.all([one.engine.close(), one.engine.close()])
    await one.engine.close()
    await refuses('BUS_CLOSED', () => one.open())
    await bed.unopened().engine.close()
  }),

  check('closing waits for what is under way', async (bed) => {
    const one = await bed.instance()
    await one.declare({}, { name: 'emitted' })
    const owned = await one.lease()
    const work = [
      one.publish(records(100)),
      one.commit(owned, undefined, 1, { appends: [batchOf(records(5), { topic: 'emitted' })] }),
      one.readAll().catch(() => []),
    ]
    const closing = one.engine.close()
    await Promise.all(work)
    await closing
    const again = await bed.instance()
    assert.equal((await again.readAll()).length, 100)
    assert.equal((await again.readAll('emitted')).length, 5)
  }),

  check('closing gives up what the engine still owned', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const member = await one.join('billing', { orders: 1 }, 60_000)
    await member.holds(1)
    const { epoch } = member.lease('orders', 0)
    const again = await bed.reopen(one)
    assert.equal(member.held.size, 0)
    const next = await again.lease()
    assert.ok(next.epoch > epoch, 'without waiting for the lease to run out')
  }),

  check('the identity of the log stays over reopening and differs between logs (D6)', async (bed) => {
    const one = await bed.instance()
    const { logId } = one.engine
    assert.ok(logId.length >= 8, logId)
    assert.equal((await bed.reopen(one)).engine.logId, logId)
    const other = await bed.options.open()
    try {
      const stranger = other.engine()
      const { platform, member } = one
      await stranger.open({ platform, member, durability: stranger.facts.durability[0]! })
      const otherId = stranger.logId
      await stranger.close()
      assert.notEqual(otherId, logId)
    } finally {
      await other.dispose?.()
    }
  }),

  check('a durability that the facts do not offer is refused (D7)', async (bed) => {
    const levels = ['fsync', 'os', 'memory'] as const
    const missing = levels.filter((level) => !bed.options.facts.durability.includes(level))
    const one = await bed.instance()
    await one.declare()
    const group = { calls: 1, batches: [batchOf([record('a')])], failuresSeen: 0 }
    for (const durability of missing) {
      await refuses('DURABILITY_UNAVAILABLE', () => one.engine.append(group, { durability }))
      const { engine, platform, member } = bed.unopened()
      await refuses('DURABILITY_UNAVAILABLE', () => engine.open({ platform, member, durability }))
    }
    assert.deepEqual(await one.ids(), [])
  }),

  check('offsets and limits that make no sense are refused by name', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const good = { topic: 'orders', partition: 0, offset: 0, maxEvents: 1, maxBytes: 1 }
    for (const wrong of wrongOffsets) {
      await refuses('INVALID_OFFSET', () => one.engine.read({ ...good, offset: wrong }))
      await refuses('INVALID_OFFSET', () => one.engine.read({ ...good, partition: wrong }))
      await refuses('INVALID_OPTION', () => one.engine.read({ ...good, maxEvents: wrong }))
      await refuses('INVALID_OPTION', () => one.declare({ partitions: wrong }))
    }
    await refuses('INVALID_TIME', () => one.engine.offsetAt('orders', 0, Number.NaN))
    await refuses('INVALID_OPTION', () => one.join('billing', { orders: 1 }, 1))
    await refuses('INVALID_GROUP', () => one.join('', { orders: 1 }))
  }),

  check('a process joins a group once for each topic', async (bed) => {
    const one = await bed.instance()
    await one.declare({}, { name: 'invoices' })
    const first = await one.join('billing', { orders: 1 })
    await refuses('INVALID_GROUP', () => one.join('billing', { orders: 1 }))
    const second = await one.join('billing', { invoices: 1 })
    await first.holds(1)
    await second.holds(1)
    await first.leave()
    assert.equal(second.held.size, 1)
    const third = await one.join('billing', { orders: 1 })
    await third.holds(1)
  }),
]
