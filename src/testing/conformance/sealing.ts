import assert from 'node:assert/strict'
import type { Lease, SealRequest } from '../../engine/engine.ts'
import { hasCode, type SemelError } from '../../errors.ts'
import type { Instance } from './instance.ts'
import { batchOf, isRefusal, record, records, refuses } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'
import { waitUntil } from './test-bed.ts'

const long = 60_000
const topic = 'orders'
const seals = { seals: true } as const

function hold(holder = 'move-1', forMs = long): SealRequest {
  return { topic, holder, step: 'hold', forMs }
}

async function opened(one: Instance): Promise<void> {
  await one.declare({ partitions: 2 }, { name: 'invoices' })
  await one.publish(records(2))
}

/** Refused with TOPIC_MOVED. Answers the error. */
async function isClosed(work: () => Promise<unknown>, retryable = true): Promise<SemelError> {
  const error = await refuses('TOPIC_MOVED', work)
  assert.equal(error.retryable, retryable, error.message)
  return error
}

async function heldLease(one: Instance, group = 'billing'): Promise<Lease> {
  const member = await one.join(group, { [topic]: 2 }, 1_000)
  await member.holds(2)
  return member.lease(topic, 0)
}

export const sealTests: readonly Case[] = [
  check('stores: the names of what a task has written to', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    assert.deepEqual(await one.engine.stores(lease.task), [])
    const state = ['totals', 'seen'].map((store) => ({ store, keys: ['k'], values: ['v'] }))
    await one.commit(lease, undefined, 1, { state })
    assert.deepEqual([...(await one.engine.stores(lease.task))].sort(), ['seen', 'totals'])
    assert.deepEqual(await one.engine.stores({ ...lease.task, group: 'nobody' }), [])
  }),

  checkIf(seals, 'a held topic takes no events, from whichever process; other topics do', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await opened(one)
    await opened(two)
    await one.engine.seal(hold())
    for (const each of [one, two]) {
      await isClosed(() => each.publish(records(1, `late-${each.member}`)))
      await isClosed(() => each.publish([record(`late-${each.member}`)], { partition: 1 }))
      await each.publish([record(`other-${each.member}`)], { topic: 'invoices' })
    }
    assert.deepEqual(await one.ids(), ['e0', 'e1'])
    assert.deepEqual(await two.ids(topic, 1), [])
    await one.engine.seal({ topic, holder: 'move-1', step: 'release' })
    for (const each of [one, two]) await each.publish([record(`after-${each.member}`)])
    assert.deepEqual(await one.ids(), ['e0', 'e1', `after-${one.member}`, `after-${two.member}`])
  }),

  checkIf(
    seals,
    'calls of one group: those for the held topic fail alone, and nothing overtakes them (P2)',
    async (bed) => {
      const one = await bed.instance()
      await opened(one)
      await one.engine.seal(hold())
      const call = (id: string, name: string) => [{ topic: name, partition: 0, records: [record(id)] }]
      const { failures } = await one.publishCalls([
        call('a', topic),
        call('b', 'invoices'),
        [...call('c', 'invoices'), ...call('c2', topic)],
        call('d', topic),
      ])
      assert.deepEqual([...failures.keys()].sort(), [0, 2, 3])
      isRefusal(failures.get(0), 'TOPIC_MOVED')
      for (const [call, failure] of failures) {
        const code = hasCode(failure, 'TOPIC_MOVED') ? 'TOPIC_MOVED' : 'PREDECESSOR_FAILED'
        assert.equal(isRefusal(failure, code).retryable, true, `call ${call}`)
      }
      assert.deepEqual([await one.ids(), await one.ids('invoices')], [['e0', 'e1'], ['b']])
    },
  ),

  checkIf(seals, 'owners from before are fenced, and units that emit into the topic refused', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await opened(one)
    const lease = await heldLease(two)
    const other = await one.lease('else', 'invoices')
    await two.commit(lease, undefined, 1)
    await one.engine.seal(hold())
    const state = [{ store: 's', keys: ['k'], values: ['v'] }]
    await refuses('FENCED', () => two.commit(lease, 1, 2, { state }))
    await isClosed(() => one.commit(other, undefined, 1, { appends: [batchOf([record('emitted')])], state }))
    assert.deepEqual(await one.state(lease.task, 's'), {})
    assert.deepEqual(await one.state(other.task, 's'), {})
    await one.commit(other, undefined, 1, { state })
    assert.deepEqual([(await two.engine.load(lease)).position, await one.ids()], [1, ['e0', 'e1']])
  }),

  checkIf(
    seals,
    'nobody is granted a task of a held topic, known or new; all go on when it is released',
    async (bed) => {
      const [one, two] = [await bed.instance(), await bed.instance()]
      await opened(one)
      const member = await two.join('billing', { orders: 2 }, 300)
      await member.holds(2)
      await one.engine.seal(hold())
      await waitUntil('its tasks are lost', () => member.held.size === 0)
      const newcomer = await one.join('newcomers', { orders: 2, invoices: 1 }, 300)
      await newcomer.holds(1)
      assert.deepEqual([...newcomer.held.keys()], ['invoices/0'])
      assert.equal(member.held.size, 0)
      await one.engine.seal({ topic, holder: 'move-1', step: 'release' })
      await member.holds(2)
      await newcomer.holds(3)
      assert.ok(member.lease(topic, 0).epoch > member.granted[0]!.epoch)
      await two.commit(member.lease(topic, 0), undefined, 1)
    },
  ),

  checkIf(seals, 'a moved topic stays closed, also after reopening, and says where it is', async (bed) => {
    const one = await bed.instance()
    await opened(one)
    await one.engine.seal(hold())
    await one.engine.seal({ topic, holder: 'move-1', step: 'move', to: 'elsewhere:1' })
    await one.engine.seal({ topic, holder: 'move-1', step: 'move', to: 'elsewhere:1' })
    await one.engine.seal({ topic, holder: 'move-1', step: 'release' })
    const again = await bed.reopen(one)
    const { message } = await isClosed(() => again.publish([record('late')]), false)
    assert.match(message, /elsewhere:1/)
    await isClosed(() => again.engine.seal(hold('move-2')), false)
    let trouble: Error | undefined
    const member = await again.join('billing', { orders: 2 }, 300)
    member.troubled = (error) => {
      trouble = error
    }
    await waitUntil('the member hears of it', () => hasCode(trouble, 'TOPIC_MOVED'))
    assert.equal(member.granted.length, 0)
    const status = await again.engine.status()
    assert.deepEqual(status.topics.map(({ topic: name, movedTo }) => [name, movedTo]).sort(), [
      ['invoices', undefined],
      ['orders', 'elsewhere:1'],
    ])
    assert.deepEqual(await again.ids(), ['e0', 'e1'])
  }),

  checkIf(
    seals,
    'one move at a time; who does not hold the topic can neither renew nor end it',
    async (bed) => {
      const [one, two] = [await bed.instance(), await bed.instance()]
      await opened(one)
      const step = (each: Instance, holder: string, request: { step: 'renew' | 'release' | 'move' }) =>
        each.engine.seal({ topic, holder, forMs: long, to: 'there', ...request } as SealRequest)
      await refuses('FENCED', () => step(one, 'move-1', { step: 'renew' }))
      await refuses('FENCED', () => step(one, 'move-1', { step: 'move' }))
      await one.engine.seal(hold())
      await one.engine.seal(hold())
      await step(one, 'move-1', { step: 'renew' })
      await isClosed(() => two.engine.seal(hold('move-2')))
      await step(two, 'move-2', { step: 'release' })
      await refuses('FENCED', () => step(two, 'move-2', { step: 'move' }))
      await isClosed(() => two.publish([record('late')]))
      await refuses('UNKNOWN_TOPIC', () => one.engine.seal({ ...hold(), topic: 'nothing' }))
    },
  ),

  checkIf(
    seals,
    'a hold that has run out ends when somebody appends, and its holder finds out',
    async (bed) => {
      const [one, two] = [await bed.instance(), await bed.instance()]
      await opened(one)
      await one.engine.seal(hold('move-1', 1))
      await waitUntil('the topic is open again', () =>
        two.publish([record('after')]).then(
          () => true,
          (error: unknown) => !isRefusal(error, 'TOPIC_MOVED').retryable,
        ),
      )
      assert.deepEqual(await one.ids(), ['e0', 'e1', 'after'])
      await refuses('FENCED', () => one.engine.seal({ topic, holder: 'move-1', step: 'renew', forMs: long }))
      await refuses('FENCED', () => one.engine.seal({ topic, holder: 'move-1', step: 'move', to: 'there' }))
    },
  ),

  checkIf(seals, 'it ends as well when somebody takes a task', async (bed) => {
    const one = await bed.instance()
    await opened(one)
    await one.engine.seal(hold('move-1', 1))
    const member = await one.join('billing', { orders: 2 }, 300)
    await member.holds(2)
    await refuses('FENCED', () => one.engine.seal({ topic, holder: 'move-1', step: 'move', to: 'there' }))
  }),

  checkIf(seals, 'a hold that has run out and that nobody ended can be renewed', async (bed) => {
    const one = await bed.instance()
    await opened(one)
    await one.engine.seal(hold('move-1', 1))
    bed.shiftClock(1_000)
    await one.engine.seal({ topic, holder: 'move-1', step: 'renew', forMs: long })
    await isClosed(() => one.publish([record('late')]))
  }),
]
