import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import type { Message, Producer } from '../../src/engines/kafka/client-types.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { decodeBatches } from '../../src/engines/kafka/record-batch.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  abort,
  begin,
  call,
  commit,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openProducer,
  openTransactional,
  rdkafka,
} from '../rig/kafka/client.ts'

// What we read without the client is what the client reads, record by record.

let broker: Kafka
let engine: Engine
before(async () => {
  broker = await startKafka({ brokers: 1 })
  engine = guardEngine(
    kafka({ brokers: broker.bootstrap, client: rdkafka, acceptUnsafe: ['replication.factor'] }),
  )
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
})
after(async () => {
  await engine.close()
  await broker.stop()
})

interface Read {
  readonly offset: number
  readonly key: string | null
  readonly text: string
}

async function readByEngine(topic: string, maxEvents: number): Promise<{ reads: Read[]; end: number }> {
  const reads: Read[] = []
  for (let offset = 0; ; ) {
    const { events, next, end } = await engine.read({
      topic,
      partition: 0,
      offset,
      maxEvents,
      maxBytes: 8 << 20,
    })
    for (const { offset: at, key, data } of events)
      reads.push({ offset: at, key, text: Buffer.from(data as Uint8Array).toString() })
    if (next === offset || next >= end) return { reads, end: next }
    offset = next
  }
}

/** With the client's own consumer of committed records, up to the end it tells. */
async function readByClient(topic: string): Promise<{ reads: Read[]; end: number }> {
  const consumer = await openConsumer(broker.bootstrap, 'compare', { 'enable.partition.eof': true })
  let end: number | undefined
  consumer.on('partition.eof', ({ offset }: { offset: number }) => {
    end = offset
  })
  consumer.assign([{ topic, partition: 0, offset: 0 }])
  const reads: Read[] = []
  while (end === undefined) {
    const messages = await call<Message[]>((done) => consumer.consume(1_000, done))
    for (const { offset, key, value } of messages)
      reads.push({ offset, key: key === null ? null : String(key), text: String(value) })
  }
  await disconnect(consumer)
  return { reads, end }
}

async function flushed(producer: Producer): Promise<void> {
  await call((done) => producer.flush(10_000, done))
}

const below = (random: SeededRandom, bound: number) => Math.floor(random.fraction() * bound)

/** Texts that repeat themselves, at all distances, and some that do not. */
function textOf(random: SeededRandom, n: number): string {
  const words = Array.from({ length: below(random, 200) }, () => `word${below(random, 40)}`)
  const noise = below(random, 4) === 0 ? String(random.uint32()).repeat(below(random, 30)) : ''
  return `${n} ${words.join(' ')}${noise}${below(random, 5) === 0 ? 'ä€😀'.repeat(below(random, 900)) : ''}`
}

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  test(`records that a producer or the broker compressed with ${codec} are read as they were written`, async () => {
    const admin = openAdmin(broker.bootstrap)
    const random = new SeededRandom(7)
    for (const compressor of ['producer', 'broker']) {
      const topic = `${codec}-by-${compressor}`
      const type = compressor === 'producer' ? 'producer' : codec === 'none' ? 'uncompressed' : codec
      await createTopic(admin, topic, 1, { 'compression.type': type })
      const own = { 'compression.codec': compressor === 'producer' ? codec : 'none', 'linger.ms': 5 }
      const producer = await openProducer(broker.bootstrap, own)
      const texts = Array.from({ length: 400 }, (_, n) => textOf(random, n))
      for (const [n, text] of texts.entries())
        producer.produce(topic, 0, Buffer.from(text), n % 7 === 0 ? null : `key${n}`)
      await flushed(producer)
      await disconnect(producer)
      const { reads } = await readByEngine(topic, 4_000)
      assert.deepEqual(reads.map(({ text }) => text), texts) // biome-ignore format: one idea
      assert.deepEqual(reads, (await readByClient(topic)).reads)
      assert.deepEqual((await readByEngine(topic, 3)).reads, reads)
    }
    admin.disconnect()
  })
}

test('of transactions that interleave, those that were committed are read, as the client reads them (R1)', async () => {
  const admin = openAdmin(broker.bootstrap)
  const topic = 'interleaved'
  await createTopic(admin, topic, 1)
  const random = new SeededRandom(11)
  const plain = await openProducer(broker.bootstrap)
  const producers = await Promise.all(
    [0, 1, 2].map((n) => openTransactional(broker.bootstrap, `t${n}`, { 'retry.backoff.ms': 2 })),
  )
  let written = 0
  let aborted = 0
  for (let round = 0; round < 25; round++) {
    for (const producer of producers) await begin(producer)
    const used = new Set<Producer>()
    for (let n = 0; n < 12; n++) {
      const producer = [...producers, plain][below(random, 4)]!
      used.add(producer)
      producer.produce(topic, 0, Buffer.from(`${round}/${written++}`), 'k')
      if (below(random, 2) === 0) await flushed(producer)
    }
    for (const producer of producers) {
      const isAborted = below(random, 2) === 0
      if (isAborted && used.has(producer)) aborted += 1
      await (isAborted ? abort(producer) : commit(producer))
    }
    await flushed(plain)
  }
  for (const producer of [plain, ...producers]) await disconnect(producer)
  const expected = await readByClient(topic)
  assert.ok(aborted > 20 && expected.reads.length > 100 && expected.reads.length < written - 60)
  assert.deepEqual(await readByEngine(topic, 4_000), expected)
  assert.deepEqual((await readByEngine(topic, 9)).reads, expected.reads)
  admin.disconnect()
})

test('a batch is read in as many parts as memory wants, and each goes on where the last one stopped', () => {
  const count = 40
  const batch = plainBatch(100, Array.from({ length: count }, (_, n) => `value ${n}`)) // biome-ignore format: one idea
  const bytes = [1, 900, 5_000, Number.POSITIVE_INFINITY].map((bytesMax) => ({ bytesMax, recordsMax: 1_000 }))
  const records = [1, 7].map((recordsMax) => ({ bytesMax: Number.POSITIVE_INFINITY, recordsMax }))
  for (const bounds of [...bytes, ...records]) {
    const offsets: number[] = []
    for (let from = 100; from < 100 + count; ) {
      const { records: part, next } = decodeBatches(batch, from, [], bounds)
      assert.ok(part.length > 0 && part.length <= bounds.recordsMax && next > from)
      offsets.push(...part.map(({ offset }) => offset))
      from = next
    }
    assert.deepEqual(
      offsets,
      Array.from({ length: count }, (_, n) => 100 + n),
    )
  }
  // An answer that ends in the middle of a batch has none of it.
  const cut = decodeBatches(batch.subarray(0, batch.length - 1), 100, [], bytes[0]!)
  assert.deepEqual(cut, { records: [], next: 100 })
})

/** Batch format 2, as https://kafka.apache.org/documentation/#recordbatch has it. */
function plainBatch(first: number, values: readonly string[]): Buffer {
  const zigzag = (value: number): Buffer => {
    const bytes: number[] = []
    for (let rest = value < 0 ? -2 * value - 1 : 2 * value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) return Buffer.from([...bytes, rest])
      bytes.push((rest % 128) | 0x80)
    }
  }
  const records = values.map((value, n) => {
    const text = Buffer.from(value)
    const body = Buffer.concat([Buffer.from([0]), zigzag(0), zigzag(n), zigzag(-1), zigzag(text.length), text, zigzag(0)]) // biome-ignore format: one idea
    return Buffer.concat([zigzag(body.length), body])
  })
  const header = Buffer.alloc(61)
  const all = Buffer.concat([header, ...records])
  all.writeBigInt64BE(BigInt(first), 0)
  all.writeInt32BE(all.length - 12, 8)
  all.writeInt8(2, 16)
  all.writeInt32BE(values.length - 1, 23)
  all.writeBigInt64BE(-1n, 43)
  all.writeInt32BE(values.length, 57)
  return all
}
