import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Durability } from '../../src/engine/facts.ts'
import { type KafkaOptions, kafka, type UnsafeSetting } from '../../src/engines/kafka/index.ts'
import { isSemelError, openBus, topic } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { createTopic, openAdmin, rdkafka } from '../rig/kafka/client.ts'
import { until } from '../support/until.ts'

let cluster: Kafka
let logs = 0
before(async () => {
  // Kafka's own defaults where they are dangerous: one copy in sync is enough.
  cluster = await startKafka({ brokers: 3, settings: { 'min.insync.replicas': 1 } })
})
after(() => cluster.stop())

interface Wish extends Partial<KafkaOptions> {
  readonly durability?: Durability
}

function engineOf({ durability = 'fsync', ...options }: Wish = {}) {
  const prefix = options.prefix ?? `safety${++logs}.`
  const engine = kafka({ brokers: cluster.bootstrap, client: rdkafka, ...options, prefix })
  const opened = () => engine.open({ platform: realPlatform, durability, member: 'm' })
  return { engine, opened, prefix }
}

/** Opens with a registry that was made with these settings. */
async function openOn(settings: Readonly<Record<string, string>>, wish: Wish) {
  const prefix = `safety${++logs}.`
  const admin = openAdmin(cluster.bootstrap)
  await createTopic(admin, `${prefix}semel.registry`, 1, { 'cleanup.policy': 'compact', ...settings })
  admin.disconnect()
  return engineOf({ ...wish, prefix })
}

const refusing = (name: string) => (error: unknown) => {
  assert.ok(isSemelError(error), String(error))
  assert.deepEqual([error.code, error.field], ['UNSAFE_SETTING', name])
  assert.match(error.hint ?? '', /set |raise /)
  return true
}

const unsafe: readonly { readonly name: UnsafeSetting; readonly settings: Record<string, string> }[] = [
  { name: 'min.insync.replicas', settings: { 'min.insync.replicas': '1' } },
  {
    name: 'unclean.leader.election.enable',
    settings: { 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'true' },
  },
]

for (const { name, settings } of unsafe) {
  test(`a topic with ${name} = ${settings[name]} is refused by name, or told in status when it was accepted (D7)`, async () => {
    await assert.rejects((await openOn(settings, {})).opened(), refusing(name))
    const { engine, opened } = await openOn(settings, { acceptUnsafe: [name] })
    await opened()
    const { exceptions } = await engine.status()
    assert.deepEqual(
      exceptions?.map(({ clause, why }) => [clause, why.includes(name)]),
      [['D1', true]],
    )
    await engine.close()
  })
}

test('one copy in sync is enough for durability "os", an unclean election is not (D7)', async () => {
  const { engine, opened } = await openOn({ 'min.insync.replicas': '1' }, { durability: 'os' })
  await opened()
  await engine.close()
  const unclean = { 'unclean.leader.election.enable': 'true' }
  await assert.rejects(
    (await openOn(unclean, { durability: 'os' })).opened(),
    refusing('unclean.leader.election.enable'),
  )
})

test('topics that the engine makes are safe whatever the defaults of the brokers are; others are looked at (D7)', async () => {
  const { engine, opened, prefix } = engineOf()
  await opened()
  await engine.declareTopics([{ name: 'safe', partitions: 1, dedupWindowMs: 0 }])
  assert.deepEqual((await engine.status()).exceptions, [])
  const admin = openAdmin(cluster.bootstrap)
  await createTopic(admin, `${prefix}theirs`, 1)
  admin.disconnect()
  const declared = engine.declareTopics([{ name: 'theirs', partitions: 1, dedupWindowMs: 0 }])
  await assert.rejects(declared, refusing('min.insync.replicas'))
  await engine.close()
})

test('transactions must be allowed to last as long as a unit may take, and not longer than the brokers allow (D7)', async () => {
  const short = { transactionTimeoutMs: 10_000, operationMs: 20_000 }
  await assert.rejects(engineOf(short).opened(), refusing('transaction.timeout.ms'))
  const { engine, opened } = engineOf({ ...short, acceptUnsafe: ['transaction.timeout.ms'] })
  await opened()
  assert.deepEqual(
    (await engine.status()).exceptions?.map(({ clause }) => clause),
    ['L1'],
  )
  await engine.close()
})

const orders = topic<{ n: number }>('orders', { partitions: 2, dedup: false })

test('brokers without KIP-848 and with a short transaction.max.timeout.ms: the classic protocol is taken, the limit is told', async () => {
  const settings = {
    'group.coordinator.rebalance.protocols': 'classic',
    'transaction.max.timeout.ms': 25_000,
  }
  await using old = await startKafka({ brokers: 1, settings })
  const acceptUnsafe = ['replication.factor'] as const
  const reach = { brokers: old.bootstrap, client: rdkafka, acceptUnsafe }
  const tooLong = kafka({ ...reach, transactionTimeoutMs: 30_000 })
  await assert.rejects(openBus({ engine: tooLong, topics: [orders] }), refusing('transaction.max.timeout.ms'))

  const bus = await openBus({ engine: kafka({ ...reach, transactionTimeoutMs: 25_000 }), topics: [orders] })
  const seen: number[] = []
  bus.consume(orders, { group: 'g' }, async ({ data }) => void seen.push(data.n))
  await bus.publish(orders, { n: 1 })
  await until(() => seen.length === 1, 20_000)
  await bus.stop()
})
