import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kafka } from '../../src/engines/kafka/index.ts'
import { type Bus, type Consumer, hasCode, isSemelError, openBus, topic } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { call, createTopic, openAdmin, rdkafka } from '../rig/kafka/client.ts'
import { JudgedGroup } from '../rig/kafka/judged-group.ts'
import { until } from '../support/until.ts'

let broker: Kafka
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 3_000, 'group.consumer.heartbeat.interval.ms': 300 }
  broker = await startKafka({ brokers: 1, settings })
})
after(() => broker.stop())

const acceptUnsafe = ['replication.factor'] as const
const notes = topic<number>('notes', { partitions: 1, dedup: false, key: () => 'k' })
const group = { group: 'readers', leaseMs: 2_000 }

/** A bus, what its group has handled, and the topic's name in Kafka. */
async function running(prefix: string) {
  const bus = await opened(prefix)
  const handled: number[] = []
  const consumer = bus.consume(notes, group, async ({ data }) => void handled.push(data))
  return { bus, consumer, handled, name: `${prefix}notes` }
}

function opened(prefix: string): Promise<Bus> {
  const engine = kafka({ brokers: broker.bootstrap, prefix, client: rdkafka, acceptUnsafe })
  return openBus({ engine, topics: [notes], member: 'm' })
}

const publish = (bus: Bus, ...numbers: readonly number[]) =>
  bus.publishMany(numbers.map((data) => notes.event(data)))

/** What the group's only task says about itself. */
async function troubleOf(consumer: Consumer): Promise<unknown> {
  await until(() => consumer.tasks()[0]?.error !== undefined, 60_000, 'the task tells what is wrong')
  return consumer.tasks()[0]!.error
}

const positionOf = async (bus: Bus) => (await bus.status()).groups[0]!.tasks[0]!.position

test('members come and go every two seconds while events are handled: nothing lost, doubled or late (K6, L1, X1)', async () => {
  const options = { brokers: broker.bootstrap, prefix: 'storm.', acceptUnsafe }
  await using run = await JudgedGroup.open(options, 1)
  await run.progress(5)
  await run.fault('rebalance', async () => {
    for (let i = 0; i < 5; i++) {
      const leave = await run.join()
      const end = performance.now() + 2_000
      await until(() => performance.now() > end)
      await leave()
      await run.progress(1)
    }
  })
  await run.finish({ minOk: { publish: 20, handle: 20 }, plannedFaults: { rebalance: 1 } })
})

test('a topic that is deleted and made again under a running group stops it: LOG_REGRESSED, no event of the new one (D6, K8)', async () => {
  const { bus, consumer, handled, name } = await running('again.')
  await publish(bus, 1, 2, 3)
  await until(() => handled.length === 3)
  const admin = openAdmin(broker.bootstrap)
  await call<void>((done) => admin.deleteTopic(name, 10_000, done))
  await createTopic(admin, name, 1)
  // While the new one is shorter than the group's position, that may be seen first: OFFSET_OUT_OF_RANGE.
  await until(() => hasCode(consumer.tasks()[0]?.error, 'LOG_REGRESSED'), 60_000, 'the new topic is noticed')
  // The new one grows past the group's position, and the group is not fooled.
  await publish(bus, 4, 5, 6, 7, 8, 9, 10)
  const before = consumer.tasks()[0]!.error
  const isAgain = () => {
    const error = consumer.tasks()[0]!.error
    return error !== before && hasCode(error, 'LOG_REGRESSED')
  }
  await until(isAgain, 60_000, 'the task has tried again')
  assert.deepEqual(handled, [1, 2, 3])
  admin.disconnect()
  await bus.stop()
})

test('a group that retention has overtaken stops and says where the log begins: nothing is jumped over (R3, K8)', async () => {
  const { bus, handled, name } = await running('slow.')
  await publish(bus, 1)
  await until(async () => handled.length === 1 && (await positionOf(bus)) !== undefined)
  await bus.stop()
  const later = await opened('slow.')
  await publish(later, 2, 3, 4)
  const admin = openAdmin(broker.bootstrap)
  const { earliest, end } = (await later.status()).topics[0]!.partitions[0]!
  assert.equal(earliest, 0)
  const before = [{ topic: name, partition: 0, offset: end - 2 }]
  await call((done) => admin.deleteRecords(before, { timeout: 10_000 }, done))
  const position = await positionOf(later)
  const consumer = later.consume(notes, group, async ({ data }) => void handled.push(data))
  const error = await troubleOf(consumer)
  assert.ok(isSemelError(error) && error.code === 'OFFSET_OUT_OF_RANGE' && error.earliest === end - 2)
  assert.deepEqual([handled, await positionOf(later)], [[1], position])
  admin.disconnect()
  await later.stop()
})

test('partitions added under a running group stop it: TOPIC_CONTRADICTION, as keys have moved (P4, K8)', async () => {
  const { bus, consumer, handled, name } = await running('more.')
  await publish(bus, 1)
  await until(() => handled.length === 1)
  const admin = openAdmin(broker.bootstrap)
  await call<void>((done) => admin.createPartitions(name, 3, 10_000, done))
  const error = await troubleOf(consumer)
  assert.ok(hasCode(error, 'TOPIC_CONTRADICTION'), String(error))
  assert.deepEqual(handled, [1])
  admin.disconnect()
  await bus.stop()
})
