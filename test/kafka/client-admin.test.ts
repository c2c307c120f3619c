import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Admin, TopicDescription } from '../../src/engines/kafka/client-types.ts'
import { partitionOfKey } from '../../src/event/partition-of-key.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  call,
  consumeSome,
  createTopic,
  disconnect,
  errorOf,
  openAdmin,
  openConsumer,
  openProducer,
  produceAll,
  rdkafka,
} from '../rig/kafka/client.ts'
import { settingsOf } from '../rig/kafka/questions.ts'

// Facts about the client that the Kafka engine builds on. If an update breaks one, the engine has to know.

let kafka: Kafka
let admin: Admin
before(async () => {
  kafka = await startKafka({ brokers: 1 })
  admin = openAdmin(kafka.bootstrap)
})
after(async () => {
  admin.disconnect()
  await kafka.stop()
})

test('keys map to partitions as in the Java client, in librdkafka with murmur2_random and in our own map', async () => {
  const keys = ['a', 'order-1', 'bé€😀', ...Array.from({ length: 300 }, (_, index) => `key ${index * 7_919}`)]
  await createTopic(admin, 'keys', 7)
  await produceWithJava('keys', keys)
  const producer = await openProducer(kafka.bootstrap)
  await produceAll(producer, 'keys', keys.map((key) => ({ key, value: 'librdkafka' }))) // biome-ignore format: one idea

  const consumer = await openConsumer(kafka.bootstrap, 'keys')
  consumer.subscribe(['keys'])
  const messages = await consumeSome(consumer, 2 * keys.length)

  assert.equal(messages.length, 2 * keys.length)
  for (const { key, value, partition } of messages)
    assert.equal(partition, partitionOfKey(String(key), 7), `${value} puts ${key}`)
  await disconnect(consumer)
  await disconnect(producer)
})

async function produceWithJava(topic: string, keys: readonly string[]): Promise<void> {
  const jars = join(import.meta.dirname, '../../.kafka/lib/*')
  const log = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  const reader = ['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=|']
  const target = ['--bootstrap-server', kafka.bootstrap, '--topic', topic]
  const encoding = '-Dfile.encoding=UTF-8'
  const main = 'org.apache.kafka.tools.ConsoleProducer'
  const java = spawn('java', [log, encoding, '-cp', jars, main, ...target, ...reader], {
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  java.stdin.end(keys.map((key) => `${key}|java\n`).join(''))
  const [code] = await once(java, 'exit')
  assert.equal(code, 0)
}

test('an error of the admin API has a code; creating what exists is 36, an unknown setting is 40', async () => {
  await createTopic(admin, 'once', 1)
  assert.equal((await errorOf(() => createTopic(admin, 'once', 1))).code, 36)
  assert.equal((await errorOf(() => createTopic(admin, 'bad', 1, { 'no.such.setting': '1' }))).code, 40)
})

test('describeTopics answers ids and replicas, and an error inside the answer for what is missing', async () => {
  await createTopic(admin, 'described', 3)
  const answer = await call<TopicDescription[]>((done) =>
    admin.describeTopics(['described', 'missing'], { timeout: 5_000 }, done),
  )
  const [described, missing] = ['described', 'missing'].map((name) =>
    answer.find((topic) => topic.name === name),
  )
  assert.equal(described?.partitions.length, 3)
  assert.deepEqual(described?.partitions[0]?.replicas.map(({ id }) => id), [1]) // biome-ignore format: one idea
  assert.ok(described?.topicId)
  assert.equal(missing?.error?.code, 3)
})

test('the admin API has no call for settings, transactions or producers; our own reader of the protocol asks', async () => {
  for (const name of [
    'describeConfigs',
    'alterConfigs',
    'listTransactions',
    'describeTransactions',
    'abortTransaction',
  ])
    assert.equal(name in admin, false, name)
  await createTopic(admin, 'settings', 1, { 'cleanup.policy': 'compact', 'min.insync.replicas': '1' })
  const settings = await settingsOf(kafka.brokers[0]!.port, 'topic', 'settings')
  assert.equal(settings.get('cleanup.policy'), 'compact')
  assert.equal(settings.get('unclean.leader.election.enable'), 'false')
})

test('deleteRecords moves the start, and reading below it resets instead of failing unless told otherwise', async () => {
  await createTopic(admin, 'cut', 1)
  const producer = await openProducer(kafka.bootstrap)
  await produceAll(
    producer,
    'cut',
    Array.from({ length: 10 }, (_, index) => ({ value: `${index}`, partition: 0 })),
  )
  const cut = [{ topic: 'cut', partition: 0, offset: 6 }]
  const [result] = await call<{ lowWatermark: number }[]>((done) => admin.deleteRecords(cut, {}, done))
  assert.equal(result?.lowWatermark, 6)

  const silent = await openConsumer(kafka.bootstrap, 'cut-1', { 'auto.offset.reset': 'earliest' })
  silent.assign([{ topic: 'cut', partition: 0, offset: 2 }])
  assert.equal((await consumeSome(silent, 1))[0]?.offset, 6) // a jump that nobody is told of
  const strict = await openConsumer(kafka.bootstrap, 'cut-2', { 'auto.offset.reset': 'error' })
  strict.assign([{ topic: 'cut', partition: 0, offset: 2 }])
  const { code } = await errorOf(() => consumeSome(strict, 1))
  assert.equal(code, -140) // ERR__AUTO_OFFSET_RESET
  for (const client of [silent, strict, producer]) await disconnect(client)
})

test('listOffsets answers the end of the stable part for read-committed readers, and errors one by one', async () => {
  await createTopic(admin, 'bounds', 1)
  const ask = [0, 9].map((partition) => ({ topic: 'bounds', partition, offset: rdkafka.OffsetSpec.LATEST }))
  const answer = await call<{ partition: number; offset: number; error?: { code: number } }[]>((done) =>
    admin.listOffsets(ask, { timeout: 5_000, isolationLevel: 1 }, done),
  )
  assert.equal(answer.find(({ partition }) => partition === 0)?.offset, 0)
  assert.equal(answer.find(({ partition }) => partition === 9)?.error?.code, -190) // ERR__UNKNOWN_PARTITION
})
