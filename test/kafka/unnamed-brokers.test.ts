import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kafka } from '../../src/engines/kafka/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { until } from '../support/until.ts'

let cluster: Kafka
before(async () => {
  cluster = await startKafka({ brokers: 3 })
})
after(() => cluster.stop())

const notes = topic<number>('notes', { partitions: 3, dedup: false, key: String })

test('the only broker that was named is killed: the group goes on with the others, which the client knows (K1, V1)', async () => {
  const named = cluster.brokers.at(-1)!
  const engine = kafka({
    brokers: `127.0.0.1:${named.port}`,
    client: rdkafka,
    acceptUnsafe: ['replication.factor', 'min.insync.replicas', 'unclean.leader.election.enable'],
  })
  const bus = await openBus({ engine, topics: [notes] })
  const handled = new Set<number>()
  bus.consume(notes, { group: 'g', guarantee: 'at-least-once' }, async ({ data }) => void handled.add(data))
  await bus.publish(notes, 0)
  await until(() => handled.has(0), 30_000)
  await named.kill9()
  const numbers = Array.from({ length: 20 }, (_, i) => i + 1)
  const acknowledged: number[] = []
  await Promise.all(
    numbers.map(async (n) => {
      await bus.publish(notes, n).then(
        () => acknowledged.push(n),
        () => undefined,
      )
    }),
  )
  assert.ok(acknowledged.length > 0, 'the others take events')
  await until(() => acknowledged.every((n) => handled.has(n)), 60_000, 'events are read while it is away')
  const { groups } = await bus.status()
  assert.deepEqual(
    groups.map(({ group }) => group),
    ['g'],
  )
  await bus.stop({ deadlineMs: 5_000 }).catch(() => undefined)
})
