import assert from 'node:assert/strict'
import type { EncodedRow, Lease } from '../../engine/engine.ts'
import { encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import type { Instance } from './instance.ts'
import { batchOf, contentOf, record, records, refuses } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'

/** A unit with a bit of everything, to see all of it or nothing. */
function everything(tag: string) {
  return {
    appends: [
      batchOf(records(2, `${tag}-a`), { topic: 'emitted', partition: 0 }),
      batchOf(records(1, `${tag}-b`), { topic: 'emitted', partition: 1 }),
      batchOf(records(1, `${tag}-c`), { topic: 'invoices' }),
    ],
    state: [
      { store: 'totals', keys: [tag, 'last'], values: ['1', tag] },
      { store: 'seen', keys: [tag], values: ['x'] },
    ],
  }
}

async function declareAll(one: Instance): Promise<void> {
  await one.declare({ partitions: 2 }, { name: 'emitted', partitions: 2 }, { name: 'invoices' })
}

/** Everything a unit can change, as one value to compare. */
async function snapshot(one: Instance, lease: Lease): Promise<unknown> {
  return {
    task: await one.engine.load(lease),
    events: [await one.ids('emitted', 0), await one.ids('emitted', 1), await one.ids('invoices')],
    totals: await one.state(lease.task, 'totals'),
    seen: await one.state(lease.task, 'seen'),
  }
}

function encodeRow(some: readonly EventRecord[]): EncodedRow {
  return { count: some.length, ...encodeBatch(some) }
}

export const unitTests: readonly Case[] = [
  check('a group that never committed has no position, then it has the committed one', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const lease = await one.lease('billing', 'orders', 2)
    assert.deepEqual(await one.engine.load(lease), { position: undefined, logId: undefined })
    await one.commit(lease, undefined, 5)
    assert.deepEqual(await one.engine.load(lease), { position: 5, logId: one.engine.logId })
    await one.commit(lease, 5, 9)
    await one.commit(lease, 9, 9, { state: [{ store: 's', keys: ['k'], values: ['v'] }] })
    assert.equal((await one.engine.load(lease)).position, 9)
  }),

  check('all of a unit exists afterwards, also after reopening', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const lease = await one.lease('billing', 'orders', 2)
    await one.commit(lease, undefined, 3, everything('u'))
    const expected = {
      task: { position: 3, logId: one.engine.logId },
      events: [['u-a0', 'u-a1'], ['u-b0'], ['u-c0']],
      totals: { u: '1', last: 'u' },
      seen: { u: 'x' },
    }
    assert.deepEqual(await snapshot(one, lease), expected)
    const again = await bed.reopen(one)
    await declareAll(again)
    assert.deepEqual(await snapshot(again, await again.lease('billing', 'orders', 2)), expected)
  }),

  check('an older epoch is FENCED, and nothing of its unit exists (Z1)', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const member = await one.join('billing', { orders: 2 })
    await member.holds(2)
    const old = member.lease('orders', 0)
    await one.commit(old, undefined, 3, everything('old'))
    await member.leave()
    const lease = await one.lease('billing', 'orders', 2)
    const before = await snapshot(one, lease)
    await refuses('FENCED', () => one.commit(old, 3, 4, everything('zombie')))
    assert.deepEqual(await snapshot(one, lease), before)
    await one.commit(lease, 3, 4, everything('new'))
    await refuses('FENCED', () => one.commit(old, 4, 5, everything('zombie')))
    const invented = { ...lease, epoch: lease.epoch + 1 }
    await refuses('FENCED', () => one.commit(invented, 4, 5, everything('invented')))
    assert.equal((await one.engine.load(lease)).position, 4)
  }),

  check('another position is POSITION_MISMATCH, and nothing of its unit exists', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const lease = await one.lease('billing', 'orders', 2)
    await refuses('POSITION_MISMATCH', () => one.commit(lease, 0, 1, everything('early')))
    assert.deepEqual((await one.engine.load(lease)).position, undefined)
    await one.commit(lease, undefined, 3, everything('u'))
    const before = await snapshot(one, lease)
    for (const from of [undefined, 0, 2, 4]) {
      await refuses('POSITION_MISMATCH', () => one.commit(lease, from, 5, everything('wrong')))
    }
    assert.deepEqual(await snapshot(one, lease), before)
  }),

  check('of two units from one position, one wins', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const lease = await one.lease('billing', 'orders', 2)
    const outcomes = await Promise.allSettled([
      one.commit(lease, undefined, 1, everything('first')),
      one.commit(lease, undefined, 1, everything('second')),
    ])
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const winner = outcomes[0]!.status === 'fulfilled' ? 'first' : 'second'
    assert.equal((await one.state(lease.task, 'totals')).last, winner)
    assert.deepEqual(await one.ids('invoices'), [`${winner}-c0`])
  }),

  check('a unit with a logId of another log keeps it: source and sink may differ (D6)', async (bed) => {
    const one = await bed.instance()
    const member = await one.join('relay', { 'not-declared-here': 2 })
    await member.holds(2)
    const lease = member.lease('not-declared-here', 1)
    await one.commit(lease, undefined, 8, { logId: 'another-log' })
    assert.deepEqual(await one.engine.load(lease), { position: 8, logId: 'another-log' })
  }),

  check('units of different tasks commit at the same time', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 8 }, { name: 'emitted' })
    const member = await one.join('billing', { orders: 8 })
    await member.holds(8)
    const leases = [...member.held.values()]
    const steps = [0, 1, 2, 3]
    const run = async (lease: Lease): Promise<void> => {
      for (const step of steps) {
        const id = `${lease.task.partition}-${step}`
        await one.commit(lease, step === 0 ? undefined : step, step + 1, {
          appends: [batchOf([record(id)], { topic: 'emitted' })],
          state: [{ store: 'steps', keys: ['last', id], values: [`${step}`, 'x'] }],
        })
      }
    }
    await Promise.all(leases.map(run))
    const ids = await one.ids('emitted')
    for (const lease of leases) {
      const { partition } = lease.task
      assert.deepEqual(
        ids.filter((id) => id.startsWith(`${partition}-`)),
        steps.map((step) => `${partition}-${step}`),
      )
      assert.equal((await one.engine.load(lease)).position, 4)
      assert.equal(Object.keys(await one.state(lease.task, 'steps')).length, 5)
    }
    assert.equal(ids.length, 32)
  }),
]

export const emitTests: readonly Case[] = [
  check('emitted events carry everything that published ones do', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const event = record('e', { a: 1 }, { key: 'k', attributes: { subject: 's', producersequence: 4 } })
    const lease = await one.lease('billing', 'orders', 2)
    await one.commit(lease, undefined, 1, { appends: [batchOf([event], { topic: 'emitted', fresh: true })] })
    assert.deepEqual((await one.readAll('emitted')).map(contentOf), [contentOf(event)])
  }),

  check(
    'a unit brings rows where the facts ask for them; elsewhere it is refused, not stored in part',
    async (bed) => {
      const one = await bed.instance()
      await declareAll(one)
      const lease = await one.lease('billing', 'orders', 2)
      const encoded = [encodeRow(records(3, 'a')), encodeRow(records(1, 'b'))]
      const appends = [
        { ...batchOf(records(2, 'c'), { topic: 'emitted', fresh: true }), rows: encoded },
        {
          ...batchOf([], { topic: 'emitted', partition: 1, fresh: true }),
          rows: [encodeRow(records(2, 'd'))],
        },
      ]
      const committing = one.commit(lease, undefined, 1, { appends })
      if (one.engine.facts.emittedRows === undefined) {
        await assert.rejects(committing)
        assert.equal((await one.engine.load(lease)).position, undefined)
        return
      }
      await committing
      assert.deepEqual(await one.ids('emitted', 0), ['a0', 'a1', 'a2', 'b0', 'c0', 'c1'])
      assert.deepEqual(await one.ids('emitted', 1), ['d0', 'd1'])
    },
  ),

  checkIf({ dedup: 'topic' }, 'emitted duplicates are left out and counted (N1)', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    await one.publish(records(2), { topic: 'emitted' })
    const lease = await one.lease('billing', 'orders', 2)
    const appends = [batchOf([...records(3), record('e2')], { topic: 'emitted' })]
    await one.commit(lease, undefined, 1, { appends })
    assert.deepEqual(await one.ids('emitted'), ['e0', 'e1', 'e2'])
    assert.equal((await one.engine.load(lease)).position, 1)
    const { topics } = await one.engine.status()
    assert.equal(topics.find(({ topic }) => topic === 'emitted')!.partitions[0]!.duplicates, 3)
    assert.deepEqual((await one.publish(records(3), { topic: 'emitted' })).duplicates, [0, 1, 2])
  }),

  checkIf({ dedup: 'topic' }, 'an emitted conflict refuses the whole unit (N2)', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    await one.publish([record('known')], { topic: 'emitted', partition: 1 })
    const lease = await one.lease('billing', 'orders', 2)
    const before = await snapshot(one, lease)
    const { appends, state } = everything('u')
    const conflict = batchOf([record('fine'), record('known', 'other')], { topic: 'emitted', partition: 1 })
    await refuses('ID_CONFLICT', () =>
      one.commit(lease, undefined, 1, { state, appends: [...appends, conflict] }),
    )
    assert.deepEqual(await snapshot(one, lease), before)
    await one.commit(lease, undefined, 1, { state, appends })
    assert.equal((await one.publish(records(2), { topic: 'emitted', partition: 1 })).duplicates.length, 0)
  }),

  checkIf({ dedup: 'topic' }, 'a refused unit holds up neither publishers nor later units', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    await one.publish([record('known')], { topic: 'emitted' })
    const lease = await one.lease('billing', 'orders', 2)
    const conflict = { appends: [batchOf([record('known', 'other')], { topic: 'emitted' })] }
    await refuses('ID_CONFLICT', () => one.commit(lease, undefined, 1, conflict))
    await one.publish([record('next')], { topic: 'emitted' })
    await one.commit(lease, undefined, 1, everything('u'))
    assert.deepEqual(await one.ids('emitted'), ['known', 'next', 'u-a0', 'u-a1'])
  }),

  check('publishes and units that are under way at once both arrive whole', async (bed) => {
    const one = await bed.instance()
    await declareAll(one)
    const lease = await one.lease('billing', 'orders', 2)
    const work: Promise<unknown>[] = []
    let last: Promise<void> = Promise.resolve()
    for (let step = 0; step < 20; step++) {
      work.push(one.publish(records(2, `p${step}-`), { topic: 'emitted' }))
      last = last.then(() =>
        one.commit(lease, step === 0 ? undefined : step, step + 1, everything(`u${step}`)),
      )
      work.push(last)
    }
    await Promise.all(work)
    const ids = await one.ids('emitted')
    const published = ids.filter((id) => id.startsWith('p'))
    assert.deepEqual(published, Array.from({ length: 20 }, (_, step) => [`p${step}-0`, `p${step}-1`]).flat())
    assert.equal(ids.length, 80)
    assert.equal((await one.engine.load(lease)).position, 20)
  }),
]
