import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openBus, RawJson, type Receipt, type Topic, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { worlds } from '../support/worlds.ts'

const one = topic<{ n: number }>('one', { partitions: 1 })
const orders = topic<{ id: string; n: number }>('orders', { partitions: 4, key: (order) => order.id })
const notes = topic<string>('notes', { partitions: 3 })

for (const { name, create } of worlds) {
  describe(`publish on ${name}`, () => {
    test('P1: a receipt says where the event lies, and a reader finds it there', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders] })

      const receipt = await bus.publish(orders, { id: 'a', n: 1 }, { id: 'first' })

      const { partition, offset } = receipt
      assert.deepEqual(receipt, { topic: 'orders', partition, offset: 0, id: 'first', duplicate: false })
      const [event] = await readAll(bus, orders, { partition, from: { offset } })
      assert.equal(event?.id, 'first')
      assert.deepEqual(event?.data, { id: 'a', n: 1 })
      assert.equal(event?.key, 'a')
    })

    test('P3: publishMany answers in the order given, across topics and partitions', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders, notes] })
      const events = Array.from({ length: 40 }, (_, n) =>
        n % 3 === 0
          ? notes.event(`note ${n}`, { id: `e${n}` })
          : orders.event({ id: `k${n}`, n }, { id: `e${n}` }),
      )

      const receipts = await bus.publishMany(events)

      assert.deepEqual(
        receipts.map(({ id, topic }) => [id, topic]),
        events.map(({ attributes, topic }) => [attributes?.id, topic.name]),
      )
      for (const { topic, partition, offset, id } of receipts) {
        const found: Topic = topic === 'notes' ? (notes as never) : (orders as never)
        const [event] = await readAll(bus, found, { partition, from: { offset }, until: offset + 1 })
        assert.equal(event?.id, id)
      }
    })

    test('P3: one conflict in a call across topics, and nothing of it is there', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders, notes] })
      await bus.publish(orders, { id: 'a', n: 1 }, { id: 'taken' })

      const call = bus.publishMany([
        notes.event('before', { id: 'n1' }),
        orders.event({ id: 'b', n: 2 }, { id: 'new' }),
        orders.event({ id: 'a', n: 99 }, { id: 'taken' }),
        notes.event('behind', { id: 'n2' }),
      ])

      const error = await failsWith('ID_CONFLICT', call)
      assert.equal(error.outcome, 'not-applied')
      assert.equal((await readAll(bus, notes)).length, 0)
      assert.equal((await readAll(bus, orders)).length, 1)
    })

    test('P3: an empty call is fine and does nothing', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      assert.deepEqual(await bus.publishMany([]), [])
    })

    test('N1: a thousand publishes of one id at once give one offset', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })

      const receipts = await Promise.all(
        Array.from({ length: 1000 }, () => bus.publish(one, { n: 1 }, { id: 'same' })),
      )

      assert.deepEqual(new Set(receipts.map(({ offset }) => offset)), new Set([0]))
      assert.equal(receipts.filter(({ duplicate }) => !duplicate).length, 1)
      assert.equal((await readAll(bus, one)).length, 1)
    })

    test('N1: the scope is the topic, and other attributes than content may differ', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one, notes] })
      await bus.publish(one, { n: 1 }, { id: 'x', traceparent: 'a', time: 1_700_000_000_000 })

      const again = await bus.publish(one, { n: 1 }, { id: 'x', traceparent: 'b', time: 1_800_000_000_000 })
      const elsewhere = await bus.publish(notes, 'n', { id: 'x' })

      assert.equal(again.duplicate, true)
      assert.equal(elsewhere.duplicate, false)
    })

    test('N2: the same id with other content is an error, alone or in one call', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })
      await bus.publish(one, { n: 1 }, { id: 'x' })

      const error = await failsWith('ID_CONFLICT', bus.publish(one, { n: 2 }, { id: 'x' }))
      assert.equal(error.outcome, 'not-applied')
      assert.equal(error.retryable, false)
      await failsWith(
        'ID_CONFLICT',
        bus.publishMany([one.event({ n: 1 }, { id: 'y' }), one.event({ n: 2 }, { id: 'y' })]),
      )
      assert.equal((await readAll(bus, one)).length, 1)
    })

    test('N4: ids are remembered over a restart', async () => {
      const world = create()
      const first = await openBus({ engine: world.engine(), topics: [one] })
      await first.publish(one, { n: 1 }, { id: 'x' })
      await first.stop()

      await using second = await openBus({ engine: world.engine(), topics: [one] })
      const again = await second.publish(one, { n: 1 }, { id: 'x' })

      assert.deepEqual([again.offset, again.duplicate], [0, true])
    })

    test('P2: five hundred concurrent publishes lie in the order of the calls', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })

      const receipts = await Promise.all(Array.from({ length: 500 }, (_, n) => bus.publish(one, { n })))

      assert.deepEqual(
        receipts.map(({ offset }) => offset),
        receipts.map((_, n) => n),
      )
      const read = await readAll(bus, one)
      assert.deepEqual(
        read.map(({ data }) => data.n),
        receipts.map((_, n) => n),
      )
    })

    test('P2: what was sent behind a failing publish fails too, and nothing overtakes it', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one, notes] })
      await bus.publish(one, { n: -1 }, { id: 'taken' })

      const calls = Array.from({ length: 50 }, (_, n) =>
        bus.publish(one, { n }, n === 10 ? { id: 'taken' } : undefined),
      )
      const other = bus.publish(notes, 'not concerned')
      const settled = await Promise.allSettled(calls)

      assert.equal((await other).duplicate, false)
      const codes = settled.map((end) => (end.status === 'fulfilled' ? 'ok' : String(end.reason.code)))
      assert.deepEqual(codes, [
        ...Array<string>(10).fill('ok'),
        'ID_CONFLICT',
        ...Array<string>(39).fill('PREDECESSOR_FAILED'),
      ])
      const behind = settled[11]
      assert.ok(behind?.status === 'rejected')
      assert.deepEqual([behind.reason.outcome, behind.reason.retryable], ['not-applied', true])
      assert.equal((await bus.publish(one, { n: 100 })).offset, 11)
    })

    test('what counts is the data as it was at the call', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one, notes] })
      const shared = { n: 0 }
      const calls: Promise<unknown>[] = []
      for (let n = 0; n < 30; n++) {
        shared.n = n
        calls.push(bus.publish(one, shared))
      }
      const large = Array.from({ length: 200 }, (_, n) => ({ n: 100 + n }))
      calls.push(bus.publishMany(large.map((data) => one.event(data))))
      for (const data of large) data.n = -1
      const bytes = new Uint8Array([1, 2, 3])
      calls.push(bus.publish(notes as never as Topic, bytes))
      bytes.fill(9)

      await Promise.all(calls)

      const read = await readAll(bus, one)
      assert.deepEqual(
        read.map(({ data }) => data.n),
        [...Array(30).keys(), ...large.map((_, n) => 100 + n)],
      )
      const [stored] = await readAll(bus, notes as never as Topic)
      assert.deepEqual(stored?.data, Buffer.from([1, 2, 3]))
    })

    test('raw JSON text is stored as it is, with its large numbers and double keys', async () => {
      const raw = topic<RawJson>('raw', { partitions: 1 })
      await using bus = await openBus({ engine: create().engine(), topics: [raw] })
      const text = '{ "n": 12345678901234567890, "a":1, "a":2 }'

      await bus.publish(raw, new RawJson(text))

      const [event] = await readAll(bus, raw)
      assert.ok(event?.data instanceof RawJson)
      assert.equal(event.data.text, text)
    })
  })

  describe(`routing on ${name}`, () => {
    test('P4: the key decides, given or by function; events of one key share a partition', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders, notes] })

      const byFunction = await bus.publish(orders, { id: 'k', n: 1 })
      const byName = await bus.publish(orders, { id: 'other', n: 2 }, { key: 'k' })
      const empty = await Promise.all([1, 2, 3].map(() => bus.publish(notes, 'x', { key: '' })))

      assert.equal(byFunction.partition, byName.partition)
      assert.equal(new Set(empty.map(({ partition }) => partition)).size, 1)
    })

    test('events without a key go round all partitions', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders, notes] })

      const receipts: Receipt[] = []
      for (let i = 0; i < 9; i++) receipts.push(await bus.publish(notes, 'x'))

      for (const partition of [0, 1, 2]) {
        assert.equal(receipts.filter((receipt) => receipt.partition === partition).length, 3)
      }
      assert.equal((await bus.publish(orders, { id: 'k', n: 1 }, { key: null })).topic, 'orders')
    })

    test('P4: a topic object that contradicts the declared one is refused before it misroutes', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders] })
      const wider = topic<{ id: string; n: number }>('orders', { partitions: 2, key: (order) => order.id })

      await failsWith('TOPIC_CONTRADICTION', bus.publish(wider, { id: 'a', n: 1 }))
    })

    test('RawJson is parsed for the key function', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [orders] })
      const plain = await bus.publish(orders, { id: 'k7', n: 1 })
      const raw = await bus.publish<unknown>(orders as never, new RawJson('{"id":"k7","n":2}'))
      assert.equal(raw.partition, plain.partition)
    })
  })
}
