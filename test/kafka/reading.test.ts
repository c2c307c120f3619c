import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import type { Admin, ClientModule, Config } from '../../src/engines/kafka/client-types.ts'
import { FetchedMemory } from '../../src/engines/kafka/fetched-memory.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { kafkaLimits } from '../../src/engines/kafka/kafka-limits.ts'
import { EventHeaders } from '../../src/engines/kafka/log-record.ts'
import { ReadCursor } from '../../src/engines/kafka/read-cursor.ts'
import { isSemelError, openBus, topic } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { until } from '../support/until.ts'

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

const events = 4_000

/** Records that were made into objects: what reading costs the process's one thread. */
let fetched = 0
const push = ReadCursor.prototype.push
ReadCursor.prototype.push = function (record) {
  fetched += 1
  push.call(this, record)
}
/** Questions to the admin client: looks at topics, and for how long any question was under way. */
let looks = 0
let asking = 0
let askingSince = 0
let askedMs = 0
function begin(): () => void {
  if (asking++ === 0) askingSince = performance.now()
  return () => {
    if (--asking === 0) askedMs += performance.now() - askingSince
  }
}
function countingAdmin(config: Config): Admin {
  const admin = rdkafka.AdminClient.create(config)
  const describe = admin.describeTopics.bind(admin)
  const list = admin.listOffsets.bind(admin)
  admin.describeTopics = (topics, options, done) => {
    looks++
    const end = begin()
    return describe(topics, options, (error, found) => {
      end()
      done(error, found)
    })
  }
  admin.listOffsets = (partitions, options, done) => {
    const end = begin()
    return list(partitions, options, (error, found) => {
      end()
      done(error, found)
    })
  }
  return admin
}
const AdminClient = { ...rdkafka.AdminClient, create: countingAdmin }
const client: ClientModule = { ...rdkafka, AdminClient }

async function opening(prefix: string): Promise<Engine> {
  const acceptUnsafe = ['replication.factor'] as const
  const engine = guardEngine(kafka({ brokers: broker.bootstrap, prefix, client, acceptUnsafe }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  const records = Array.from({ length: events }, (_, n) => {
    return {
      id: `${n}`,
      source: '/t',
      type: 't',
      time: 1_700_000_000_000,
      key: 'k',
      data: n,
      attributes: undefined,
    }
  })
  const batch = { topic: 'orders', partition: 0, records, callOf: undefined, fresh: false }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  fetched = 0
  return engine
}

async function readAt(engine: Engine, offset: number, maxEvents: number): Promise<number> {
  const result = await engine.read({ topic: 'orders', partition: 0, offset, maxEvents, maxBytes: 8 << 20 })
  assert.equal(result.events[0]!.data, offset)
  assert.ok(result.events.length <= maxEvents)
  return result.next
}

test('events read once more for their next attempt do not cost a reader what was fetched for it', async () => {
  const engine = await opening('again.')
  let again = 0
  for (let next = 0; next < events; ) {
    const from = next
    next = await readAt(engine, from, 200)
    for (let offset = from; offset < Math.min(next, events); offset += 50, again++)
      await readAt(engine, offset, 1)
  }
  assert.ok(again >= 80)
  assert.ok(
    fetched < 1.5 * events + 16 * again,
    `${fetched} were fetched for ${events} and ${again} single ones`,
  )
  await engine.close()
})

test('a next attempt gets its data anew without a read, whatever the last one made of it', async () => {
  const orders = topic<{ n: number; tries: number[] }>('orders', { partitions: 1, dedup: false })
  const acceptUnsafe = ['replication.factor'] as const
  const engine = kafka({ brokers: broker.bootstrap, prefix: 'anew.', client, acceptUnsafe })
  await using bus = await openBus({ engine, topics: [orders] })
  const some = 1_000
  await bus.publishMany(Array.from({ length: some }, (_, n) => orders.event({ n, tries: [] })))
  fetched = 0
  let handled = 0
  const retry = { attempts: 3, baseDelayMs: 1 }
  bus.consume(orders, { group: 'g', guarantee: 'at-least-once', retry }, ({ data, attempt }) => {
    assert.equal(data.tries.length, 0)
    data.tries.push(attempt)
    if (attempt < 3) throw new Error('not yet')
    handled += 1
  })
  await until(() => handled === some)
  assert.ok(
    fetched < 1.5 * some,
    `${fetched} were fetched for ${some} events and ${2 * some} further attempts`,
  )
})

test('what all places of reading hold fetched is bounded in bytes together', () => {
  const memory = new FetchedMemory()
  const cursors = Array.from({ length: 64 }, (_, partition) => new ReadCursor('t', partition, 0))
  for (const cursor of cursors) {
    memory.add(cursor)
    cursor.isBusy = true
  }
  for (let offset = 0; offset < 1_000; offset++) {
    const isFull = memory.bounds()
    for (const cursor of cursors) {
      if (isFull(cursor)) continue
      const value = Buffer.alloc(100)
      cursor.push({ offset, key: null, value, timestamp: 0, headers: new EventHeaders() })
    }
  }
  const held = cursors.reduce((sum, { bytes }) => sum + bytes, 0)
  const each = cursors[0]!.bytes / cursors[0]!.records
  assert.ok(held <= kafkaLimits.fetchedBytesMax + cursors.length * each, `${held} bytes are held`)
  assert.ok(cursors.every((cursor) => !cursor.isEmpty))
  const { position } = cursors[0]!
  cursors[0]!.drop()
  assert.equal(cursors[0]!.bytes, 0)
  assert.equal(cursors[0]!.position, position)
})

test('what is fetched without the client is bounded in bytes as well, whoever comes when', () => {
  const memory = new FetchedMemory()
  const cursors = Array.from({ length: 64 }, (_, partition) => new ReadCursor('t', partition, 0))
  let largest = 0
  for (const cursor of cursors) {
    memory.add(cursor)
    cursor.isBusy = true
    // As an answer is decoded: while there is room, and one record at least.
    const { room } = memory
    for (let offset = 0; offset === 0 || cursor.bytes < room; offset++) {
      const before = cursor.bytes
      cursor.push({ offset, key: null, value: Buffer.alloc(100), timestamp: 0, headers: new EventHeaders() })
      largest = Math.max(largest, cursor.bytes - before)
    }
  }
  const held = cursors.reduce((sum, { bytes }) => sum + bytes, 0)
  assert.ok(held <= kafkaLimits.fetchedBytesMax + cursors.length * largest, `${held} bytes are held`)
})

test('a reader goes on where it was told, also when what was fetched since stands behind the marker of a transaction', () => {
  const cursor = new ReadCursor('t', 0, 0)
  const push = (offset: number) => {
    cursor.push({ offset, key: null, value: null, timestamp: 0, headers: undefined })
  }
  const takeAll = () => cursor.take(10, 1_000_000).records.map(({ offset }) => offset)
  push(0)
  push(1)
  assert.deepEqual(takeAll(), [0, 1])
  assert.equal(cursor.settle(), 2)
  // 2 is a marker.
  push(3)
  assert.equal(cursor.position, 2)
  assert.deepEqual(takeAll(), [3])
  // A read that fails from here on is made again at 2, where this cursor has nothing to give any more.
  assert.equal(cursor.position, 4)
  cursor.pass(5)
  assert.equal(cursor.position, 4)
  assert.equal(cursor.settle(), 5)
})

test('readers at several places of one partition, in turn, do not cost each other what was fetched for them', async () => {
  const engine = await opening('places.')
  const readers = [0, 500, 1_000, 1_500, 2_000, 2_500]
  const wanted = readers.reduce((sum, from) => sum + events - from, 0)
  while (readers.some((next) => next < events))
    for (const [reader, from] of readers.entries())
      if (from < events) readers[reader] = await readAt(engine, from, 100)
  assert.ok(fetched < 1.5 * wanted, `${fetched} were fetched for ${wanted}`)
  await engine.close()
})

test('what was fetched together is checked together: one look at the topic, however small the parts that are asked for', async () => {
  const engine = await opening('parts.')
  looks = 0
  for (let next = 0; next < events; ) next = await readAt(engine, next, 64)
  assert.ok(looks <= 20, `${looks} looks for ${events} events`)
  await engine.close()
})

test('a topic that a consumer meets for the first time while its broker is away is ENGINE_UNAVAILABLE, as any other read', async () => {
  const acceptUnsafe = ['replication.factor'] as const
  const settings = { brokers: broker.bootstrap, prefix: 'first.', client, acceptUnsafe, operationMs: 3_000 }
  const engine = guardEngine(kafka(settings))
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  const names = ['met', 'unmet']
  await engine.declareTopics(names.map((name) => ({ name, partitions: 1, dedupWindowMs: 0 })))
  const read = (topic: string) =>
    engine.read({ topic, partition: 0, offset: 0, maxEvents: 100, maxBytes: 8 << 20 })
  await read('met')
  await broker.brokers[0]!.kill9()
  await assert.rejects(read('unmet'), (error) => {
    assert.ok(isSemelError(error), String(error))
    assert.deepEqual(
      [error.code, error.retryable, error.outcome],
      ['ENGINE_UNAVAILABLE', true, 'not-applied'],
    )
    return true
  })
  await broker.brokers[0]!.start()
  await until(async () => (await read('unmet').catch(() => undefined))?.end === 0)
  await engine.close()
})

test('while no broker takes connections, the client is asked nothing: it would be busy with each question until its time is over', async () => {
  const engine = await opening('away.')
  await broker.brokers[0]!.kill9()
  const killedAt = performance.now()
  askedMs = 0
  const bounds = engine.bounds('orders')
  // It takes seconds to start.
  await broker.brokers[0]!.start()
  const awayMs = performance.now() - killedAt
  const ms = askedMs + (asking > 0 ? performance.now() - askingSince : 0)
  assert.ok(ms < awayMs / 2, `asked for ${ms} of ${awayMs} ms`)
  // Calls of one batch leave no marker.
  assert.deepEqual(await bounds, [{ earliest: 0, end: events }])
  await engine.close()
})
