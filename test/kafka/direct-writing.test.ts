import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { BatchWriter, sequenceAfter, sign } from '../../src/engines/kafka/batch-writer.ts'
import { crc32c } from '../../src/engines/kafka/crc32c.ts'
import { batchBare, batcherOf } from '../../src/engines/kafka/event-batches.ts'
import { type ContentMode, kafka } from '../../src/engines/kafka/index.ts'
import { kafkaLimits } from '../../src/engines/kafka/kafka-limits.ts'
import { produce } from '../../src/engines/kafka/produce-question.ts'
import { initProducer } from '../../src/engines/kafka/producer-questions.ts'
import { decodeBatches } from '../../src/engines/kafka/record-batch.ts'
import { type EventAttributes, type EventRecord, JsonText, RawJson } from '../../src/event/event.ts'
import { isSemelError } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  consumeSome,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  rdkafka,
} from '../rig/kafka/client.ts'
import { asking, transactionsOf } from '../rig/kafka/questions.ts'

// What we write without the client is what the client writes, record by record.

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

async function opened(prefix: string, contentMode: ContentMode, settings = {}): Promise<Engine> {
  const reach = { brokers: broker.bootstrap, client: rdkafka, acceptUnsafe: ['replication.factor'] } as const
  const engine = guardEngine(kafka({ ...reach, prefix, contentMode, settings }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  await engine.declareTopics([{ name: 'events', partitions: 1, dedupWindowMs: 0 }])
  return engine
}

test('CRC-32C has the sums that RFC 3720 tells (B.4), whatever the length and the place', () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, n) => n)
  assert.equal(crc32c(new Uint8Array(32), 0), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff), 0), 0x62a8ab43)
  assert.equal(crc32c(ascending, 0), 0x46dd794e)
  assert.equal(crc32c(ascending.toReversed(), 0), 0x113fdb5c)
  assert.equal(crc32c(Buffer.from('123456789'), 0), 0xe3069283)
  assert.equal(crc32c(Buffer.from('....123456789'), 4), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(0), 0), 0)
})

const below = (random: SeededRandom, bound: number) => Math.floor(random.fraction() * bound)

function textOf(random: SeededRandom): string {
  const letters = [
    'a',
    'Z',
    '"',
    '\\',
    '\n',
    'ä',
    '€',
    '😀',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\uffff',
    '\ud800',
  ]
  const count = [0, 1, 3, 47, 48, 49, 63, 64, 65, 200, 8_191, 8_200][below(random, 12)]!
  const kinds = below(random, 3) === 0 ? letters.length : 1
  return Array.from({ length: count }, () => letters[below(random, kinds)]!).join('')
}

function attributesOf(random: SeededRandom): EventAttributes | undefined {
  if (below(random, 3) > 0) return undefined
  return {
    subject: below(random, 2) === 0 ? textOf(random) : undefined,
    datacontenttype: ['application/json', 'text/plain', 'application/x+json', undefined][below(random, 4)],
    correlationid: 'c',
    producersequence: below(random, 2) === 0 ? below(random, 1e9) : undefined,
  }
}

function eventOf(random: SeededRandom, n: number): EventRecord {
  const text = textOf(random)
  const data = [
    { text },
    text,
    null,
    new JsonText(JSON.stringify({ text })),
    new RawJson(`{ "raw":  ${JSON.stringify(text)} }`),
    new Uint8Array(Buffer.from(text)),
    new Uint8Array(0),
  ][below(random, 7)]
  return {
    id: `id-${n}-${below(random, 9) === 0 ? text : ''}`,
    source: below(random, 9) === 0 ? '/äther' : '/test',
    type: `type${below(random, 2)}`,
    time: 1_700_000_000_000 + below(random, 2),
    key: [null, '', 'k', text][below(random, 4)]!,
    data,
    attributes: attributesOf(random),
  }
}

async function readByClient(topic: string, count: number): Promise<unknown[]> {
  const consumer = await openConsumer(broker.bootstrap, 'compare', { 'check.crcs': true })
  consumer.assign([{ topic, partition: 0, offset: 0 }])
  const messages = await consumeSome(consumer, count)
  await disconnect(consumer)
  return messages.map(({ offset, key, value, headers }) => ({ offset, key, value, headers }))
}

for (const mode of ['binary', 'structured'] as const) {
  test(`in ${mode} mode the client's consumer reads from us what it reads from the client: keys, values, headers, in their order`, async () => {
    const random = new SeededRandom(5)
    const records = Array.from({ length: 600 }, (_, n) => eventOf(random, n))
    const read: unknown[][] = []
    for (const [name, settings] of [
      ['ours', {}],
      ['theirs', { 'compression.type': 'lz4' }],
    ] as const) {
      // biome-ignore format: one idea
      const prefix = `${mode}.${name}.`
      const engine = await opened(prefix, mode, settings)
      const callOf = records.map((_, n) => n)
      const batch = { topic: 'events', partition: 0, records, callOf, fresh: true }
      const group = { calls: records.length, batches: [batch], failuresSeen: 0 }
      const { batches, failures } = await engine.append(group, { durability: 'fsync' })
      assert.deepEqual([batches[0]!.firstOffset, failures.size], [0, 0])
      read.push(await readByClient(`${prefix}events`, records.length))
      await engine.close()
    }
    assert.equal(read[0]!.length, records.length)
    // One by one: telling how two lists of this size differ takes minutes.
    for (const [n, ours] of read[0]!.entries()) assert.deepEqual(ours, read[1]![n])
  })
}

test('records without headers, with and without key and value, are read as they were written', () => {
  const records = [
    { key: 'k', value: Buffer.from([0, 0xff]) },
    { key: '', value: Buffer.alloc(0) },
    { key: null, value: null },
  ]
  const { batches } = batchBare(records, 77)
  const bounds = { recordsMax: 10, bytesMax: 1e9 }
  const decoded = decodeBatches(batches[0]!.bytes, 0, [], bounds)
  assert.deepEqual(
    decoded.records.map(({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp })),
    records.map((record) => ({ ...record, headers: undefined, timestamp: 77 })),
  )
})

test('a batch ends before it is larger than every broker takes; a larger record has its own, up to the largest one', () => {
  const sizes = [400_000, 400_000, 400_000, 10, 2_000_000, 10, 4_300_000, 10, 10]
  const records = sizes.map((size, n) => ({ ...eventOf(new SeededRandom(1), n), data: 'x'.repeat(size) }))
  const { batches, tooLarge } = batcherOf('binary')(records, 1)
  assert.deepEqual(tooLarge, [6])
  const parts = batches.map(({ from, count, bytes }) => [
    from,
    count,
    bytes.length <= kafkaLimits.batchBytesMax,
  ])
  assert.deepEqual(parts, [
    [0, 2, true],
    [2, 2, true],
    [4, 1, false],
    [5, 1, true],
    [7, 2, true],
  ])
  for (const { bytes, count } of batches) {
    const { records: read } = decodeBatches(bytes, 0, [], { recordsMax: 10, bytesMax: 1e9 })
    assert.deepEqual(
      read.map(({ offset }) => offset),
      Array.from({ length: count }, (_, n) => n),
    )
  }
})

test('a call of one partition that is one batch is no transaction; one of several batches is; with a record that is too large nothing of it is written', async () => {
  const engine = await opened('calls.', 'binary')
  const call = async (data: readonly string[]) => {
    const records = data.map((text, n) => ({ ...eventOf(new SeededRandom(2), n), data: text }))
    const batch = { topic: 'events', partition: 0, records, callOf: undefined, fresh: true }
    const { batches } = await engine.append(
      { calls: 1, batches: [batch], failuresSeen: 0 },
      { durability: 'fsync' },
    )
    const { firstOffset, offsets } = batches[0]!
    return offsets ?? data.map((_, n) => firstOffset + n)
  }
  const transactions = async () => {
    const all = await transactionsOf(broker.brokers[0]!.port)
    return all.filter(({ transactionalId }) => transactionalId.startsWith('calls.')).length
  }
  assert.deepEqual(await call(['a', 'b', 'c']), [0, 1, 2])
  assert.deepEqual(await call(['d', 'e']), [3, 4])
  assert.equal(await transactions(), 0)
  const large = 'x'.repeat(600_000)
  assert.deepEqual(await call([large, large, large]), [5, 6, 7])
  assert.equal(await transactions(), 1)
  await assert.rejects(call(['small', 'x'.repeat(5_000_000)]), (error) => {
    return isSemelError(error) && error.code === 'TOO_LARGE' && error.outcome === 'not-applied'
  })
  const [last] = await call(['last'])
  const places: number[] = []
  for (let offset = 0; offset <= last!; ) {
    const range = { topic: 'events', partition: 0, offset, maxEvents: 20, maxBytes: 8 << 20 }
    const { events, next } = await engine.read(range)
    places.push(...events.map((event) => event.offset))
    offset = next
  }
  assert.deepEqual(places, [0, 1, 2, 3, 4, 5, 6, 7, last])
  await engine.close()
})

test('sequence numbers begin anew behind the largest one, as brokers want it', async () => {
  const admin = openAdmin(broker.bootstrap)
  await createTopic(admin, 'wrap', 1)
  admin.disconnect()
  await asking(broker.brokers[0]!.port, async (ask) => {
    const identity = await initProducer(ask, undefined, 60_000)
    const send = async (sequence: number, count: number) => {
      const writer = new BatchWriter()
      writer.begin(1)
      for (let n = 0; n < count; n++) {
        writer.open(null)
        writer.text('x')
        writer.number(0)
        writer.close()
      }
      const batch = writer.end()
      sign(batch, { ...identity, sequence, isTransactional: false })
      const [answer] = await produce(ask, undefined, 1_000, [
        { topic: 'wrap', partition: 0, bytes: batch.bytes },
      ])
      return [answer!.error, answer!.offset]
    }
    const first = 2 ** 31 - 2
    assert.deepEqual(await send(first, 4), [0, 0])
    assert.deepEqual(await send(first, 4), [0, 0])
    const second = sequenceAfter(first, 4)
    assert.equal(second, 2)
    assert.deepEqual(await send(second, 1), [0, 4])
    assert.deepEqual(await send(second + 5, 1), [45, -1])
  })
})
