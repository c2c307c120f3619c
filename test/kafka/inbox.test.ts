import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Bus, Consumer } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { call, consumeSome, disconnect, openConsumer, openProducer } from '../rig/kafka/client.ts'
import { type Count, counts, openMember, words } from '../rig/kafka/member.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

const keys = 8
const hour = 3_600_000
let broker: Kafka
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 1_500, 'group.consumer.heartbeat.interval.ms': 200 }
  broker = await startKafka({ brokers: 1, settings })
})
after(() => broker.stop())

function count(bus: Bus, windowMs: number): Consumer {
  const options = { group: 'counters', leaseMs: 1_500, inbox: { windowMs } }
  return bus.consume(words, options, async (event, tx) => {
    const state = tx.state<number>('count')
    const next = ((await state.get()) ?? 0) + 1
    await state.set(next)
    tx.emit(counts, { ...event.data, count: next })
  })
}

const eventOf = (n: number) => words.event({ key: `k${n % keys}`, n }, { id: `id-${n}` })
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const counted = async (bus: Bus): Promise<Count[]> => (await readAll(bus, counts)).map(({ data }) => data)

/** Everything once more, as a mirror does it that forgot where it was: record by record, by no producer of ours. */
async function sendAllAgain(topic: string, records: number): Promise<void> {
  const consumer = await openConsumer(broker.bootstrap, `again-${records}`)
  consumer.assign([0, 1, 2, 3].map((partition) => ({ topic, partition, offset: 0 })))
  const messages = await consumeSome(consumer, records)
  await disconnect(consumer)
  const producer = await openProducer(broker.bootstrap, { 'enable.idempotence': true })
  for (const { partition, key, value, headers } of messages)
    producer.produce(topic, partition, value, key, null, null, headers)
  await call((done) => producer.flush(10_000, done))
  await disconnect(producer)
}

test('N7: duplicates from any producer count once, over rebalances, takeovers and copies of state restored from nothing', async () => {
  const prefix = 'inbox.'
  const bus = await openMember(broker.bootstrap, prefix, 'observer', 'consumer')
  const untilCounted = (least: number) =>
    until(async () => (await counted(bus)).length >= least, 60_000, `${least} counts`)
  const first = await openMember(broker.bootstrap, prefix, 'first', 'consumer')
  count(first, hour)
  await bus.publishMany([...range(0, 40), ...range(0, 40)].map(eventOf))
  await untilCounted(1)
  // A second member takes half of the partitions, with what they know.
  const second = await openMember(broker.bootstrap, prefix, 'second', 'consumer')
  const other = count(second, hour)
  await until(() => other.tasks().length > 0)
  await bus.publishMany(range(40, 60).map(eventOf))
  await sendAllAgain(`${prefix}words`, 100)
  await untilCounted(60)
  await first.stop()
  await bus.publishMany(range(20, 80).map(eventOf))
  await untilCounted(80)
  await second.stop()
  // Nobody has a copy of the state any more.
  const third = await openMember(broker.bootstrap, prefix, 'third', 'consumer')
  count(third, hour)
  await bus.publishMany(range(0, 90).map(eventOf))
  await untilCounted(90)
  await until(async () => (await third.status()).groups.every(({ lagEvents }) => lagEvents <= keys))
  const found = await counted(bus)
  assert.deepEqual(
    found.map(({ n }) => n).sort((a, b) => a - b),
    range(0, 90),
  )
  assert.deepEqual(await third.deadLetters('counters').list(), [])
  await third.stop()
  await bus.stop()
})

test('N3, N7: the window is counted on the brokers’ append clock, from the first acceptance', async () => {
  const windowMs = 600
  const bus = await openMember(broker.bootstrap, 'window.', 'm', 'consumer')
  count(bus, windowMs)
  for (const start = Date.now(); Date.now() - start < windowMs * 3; )
    await bus.publish(words, { key: 'k0', n: 0 }, { id: 'id-0' })
  const events = await readAll(bus, words)
  let expected = 0
  let since = Number.NEGATIVE_INFINITY
  for (const { appendTime } of events) {
    if (appendTime - since < windowMs) continue
    since = appendTime
    expected += 1
  }
  await until(async () => (await counted(bus)).length >= expected)
  await bus.publishMany([eventOf(1)])
  await until(async () => (await counted(bus)).some(({ n }) => n === 1))
  assert.ok(expected >= 3 && events.length > expected * 2)
  assert.equal((await counted(bus)).filter(({ n }) => n === 0).length, expected)
  await bus.stop()
})
