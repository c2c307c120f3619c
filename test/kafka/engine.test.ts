import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine, Lease } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import type {
  Admin,
  ClientModule,
  Config,
  DeliveryReport,
  Done,
  Message,
} from '../../src/engines/kafka/client-types.ts'
import { type ContentMode, type KafkaOptions, kafka } from '../../src/engines/kafka/index.ts'
import { type EventRecord, RawJson, type StoredEvent } from '../../src/event/event.ts'
import { hasCode, isSemelError } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  call,
  consumeSome,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openProducer,
  openTransactional,
  rdkafka,
} from '../rig/kafka/client.ts'
import { producersOf } from '../rig/kafka/questions.ts'
import { until } from '../support/until.ts'

let broker: Kafka
let logs = 0
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

const acceptUnsafe = ['replication.factor'] as const
const wide = { maxEvents: 1_000, maxBytes: 1_000_000 }
const record = (id: string) => {
  return {
    id,
    source: '/test',
    type: 'test',
    time: 1_700_000_000_000,
    key: 'k',
    data: { id },
    attributes: undefined,
  }
}

async function opened(
  prefix: string,
  client: ClientModule = rdkafka,
  contentMode: ContentMode = 'binary',
  settings: KafkaOptions['settings'] = {},
): Promise<Engine> {
  const reach = { brokers: broker.bootstrap, settings, acceptUnsafe }
  const engine = guardEngine(kafka({ ...reach, prefix, client, contentMode }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  return engine
}

/** Publishing is left to the client. */
const compressing = { 'compression.type': 'lz4' }

async function opening(): Promise<{ engine: Engine; prefix: string }> {
  const prefix = `engine${++logs}.`
  const engine = await opened(prefix)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  return { engine, prefix }
}

async function leaseOf(engine: Engine): Promise<Lease> {
  const leases: Lease[] = []
  const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
  const topics = [{ topic: 'orders', partitions: 1 }]
  const listener = {
    assigned: (own: readonly Lease[]) => void leases.push(...own),
    revoked: async () => undefined,
  }
  await engine.join({ group: 'g', topics, leaseMs: 10_000, report }, listener)
  await until(() => leases.length === 1)
  return leases[0]!
}

test('a plain consumer finds our events in the CloudEvents binding', async () => {
  const { engine, prefix } = await opening()
  const batch = { topic: 'orders', partition: 0, records: [record('a')], callOf: undefined, fresh: false }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  const consumer = await openConsumer(broker.bootstrap, 'plain')
  consumer.assign([{ topic: `${prefix}orders`, partition: 0, offset: 0 }])
  const [message] = await consumeSome(consumer, 1)
  const headers = message!.headers!.flatMap((header) => Object.entries(header))
  assert.deepEqual([String(message!.key), JSON.parse(String(message!.value))], ['k', { id: 'a' }])
  assert.deepEqual(
    headers.map(([name, value]) => [name, String(value)]),
    [
      ['ce_specversion', '1.0'],
      ['ce_id', 'a'],
      ['ce_source', '/test'],
      ['ce_type', 'test'],
      ['ce_time', '2023-11-14T22:13:20.000Z'],
      ['content-type', 'application/json'],
    ],
  )
  await disconnect(consumer)
  await engine.close()
})

const append = async (engine: Engine, records: readonly EventRecord[]) => {
  const batch = { topic: 'orders', partition: 0, records, callOf: undefined, fresh: false }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
}

test('in structured mode a plain consumer finds the whole event in the value; bytes and raw text stay bare', async () => {
  const { engine, prefix } = await opening()
  const structured = await opened(prefix, rdkafka, 'structured')
  await structured.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  const attributes = { subject: 'üß"', datacontenttype: 'text/json', producersequence: 9_007_199_254_740_991 }
  const records: EventRecord[] = [
    record('plain'),
    { ...record('all'), key: null, data: ['\u2028', null], attributes },
    { ...record('raw'), data: new RawJson('{ "n" : 12345678901234567890 }') },
    { ...record('bytes'), data: new Uint8Array([0, 255]) },
    { ...record('xml'), data: '<a/>', attributes: { datacontenttype: 'application/xml' } },
  ]
  await append(structured, records)
  await append(engine, records)
  const consumer = await openConsumer(broker.bootstrap, 'plain structured')
  consumer.assign([{ topic: `${prefix}orders`, partition: 0, offset: 0 }])
  const messages = await consumeSome(consumer, 5)
  const typeOf = ({ headers }: Message) =>
    String(headers?.find((header) => 'content-type' in header)?.['content-type'])
  assert.deepEqual(messages.map(typeOf), [
    'application/cloudevents+json; charset=UTF-8',
    'application/cloudevents+json; charset=UTF-8',
    'application/json',
    'application/octet-stream',
    'application/xml',
  ])
  const [plain, all] = messages.slice(0, 2).map(({ value }) => JSON.parse(String(value)))
  const envelope = { specversion: '1.0', source: '/test', type: 'test', time: '2023-11-14T22:13:20.000Z' }
  assert.deepEqual(plain, { ...envelope, id: 'plain', data: { id: 'plain' } })
  const members = { ...attributes, producersequence: '9007199254740991' }
  assert.deepEqual(all, { ...envelope, id: 'all', ...members, data: ['\u2028', null] })
  assert.deepEqual([String(messages[0]!.key), messages[1]!.key], ['k', null])
  // Our readers find the same events, however they were written.
  const { events } = await engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })
  const asGiven = ({ offset, appendTime, ...given }: StoredEvent): EventRecord => given
  assert.deepEqual(events.map(asGiven), [...records, ...records])
  await disconnect(consumer)
  await Promise.all([engine.close(), structured.close()])
})

test('events of plain producers are read: with an id of theirs, or named after their place', async () => {
  const { engine, prefix } = await opening()
  const producer = await openProducer(broker.bootstrap)
  const send = (value: string, headers: Record<string, string>[]) =>
    producer.produce(`${prefix}orders`, 0, Buffer.from(value), null, null, null, headers)
  send('{"n":1}', [
    { ce_specversion: '1.0' },
    { ce_id: 'x' },
    { ce_type: 'placed' },
    { 'content-type': 'application/json' },
  ])
  send('{"n":1}', [
    { 'content-type': 'application/json; charset=utf-8' },
    { ce_subject: 'z' },
    { ce_id: 'y' },
    { ce_type: 'placed' },
    { ce_specversion: '1.0' },
  ])
  send('{"n":2}', [{ 'content-type': 'application/json' }])
  send('text', [])
  send('{"id":"s","type":"paid","source":"/s","data":{"n":4}}', [
    { 'content-type': 'application/cloudevents+json' },
  ])
  await call((done) => producer.flush(5_000, done))
  const { events } = await engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })
  assert.deepEqual(
    events.map(({ id, type, data, attributes }) => [
      id,
      type,
      data instanceof Uint8Array ? Buffer.from(data).toString() : data,
      attributes,
    ]),
    [
      // JSON is what data is that was given no content type: not an attribute.
      ['x', 'placed', { n: 1 }, undefined],
      ['y', 'placed', { n: 1 }, { datacontenttype: 'application/json; charset=utf-8', subject: 'z' }],
      ['orders/0/2', 'orders', { n: 2 }, { datacontenttype: 'application/json' }],
      ['orders/0/3', 'orders', 'text', undefined],
      ['s', 'paid', { n: 4 }, undefined],
    ],
  )
  await disconnect(producer)
  await engine.close()
})

test('records of earlier versions, which name the kind of all data, are read as the events they were', async () => {
  const { engine, prefix } = await opening()
  const producer = await openProducer(broker.bootstrap)
  const send = (contentType: string, kind: string) => {
    const headers: Record<string, string>[] = [
      { ce_specversion: '1.0' },
      { ce_id: kind },
      { ce_source: '/test' },
      { ce_type: 'test' },
      { ce_time: '2023-11-14T22:13:20.000Z' },
      { 'content-type': contentType },
      { ce_semeldata: kind },
      { ce_producersequence: '7' },
      { ce_other: 'x' },
    ]
    producer.produce(`${prefix}orders`, 0, Buffer.from('{"n":1}'), 'k', null, null, headers)
  }
  send('application/json', 'json')
  send('application/json', 'json, typed')
  send('application/json', 'raw')
  send('application/octet-stream', 'bytes')
  await call((done) => producer.flush(5_000, done))
  const { events } = await engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })
  const producersequence = 7
  assert.deepEqual(
    events.map(({ data, attributes, time, key }) => [data, attributes, time, key]),
    [
      [{ n: 1 }, { producersequence }],
      [{ n: 1 }, { producersequence, datacontenttype: 'application/json' }],
      [new RawJson('{"n":1}'), { producersequence }],
      [new Uint8Array(Buffer.from('{"n":1}')), { producersequence }],
    ].map((seen) => [...seen, 1_700_000_000_000, 'k']),
  )
  await disconnect(producer)
  await engine.close()
})

test('an event that a broker has, but says the client not where, is neither acknowledged at no place nor failed: its fate is unknown (P1)', async () => {
  let isForgetful = false
  class ForgetfulProducer extends rdkafka.Producer {
    override on(name: string, listener: (error: unknown, report: DeliveryReport) => void): this {
      if (name !== 'delivery-report') return super.on(name, listener)
      return super.on(name, (error: unknown, report: DeliveryReport) => {
        listener(error, isForgetful ? { ...report, offset: -1001 } : report)
      })
    }
  }
  const client = { ...rdkafka, Producer: ForgetfulProducer }
  const engine = await opened(`engine${++logs}.`, client, 'binary', compressing)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  isForgetful = true
  const isUnknown = (error: unknown) => isSemelError(error) && error.retryable && error.outcome === 'unknown'
  await assert.rejects(append(engine, [record('somewhere')]), isUnknown)
  isForgetful = false
  await append(engine, [record('after')])
  const { events } = await engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })
  assert.deepEqual(
    events.map(({ id }) => id),
    ['somewhere', 'after'],
  )
  await engine.close()
})

test('a unit with a record that the client or the broker refuses is refused whole, and the next one commits (X1)', async () => {
  const { engine, prefix } = await opening()
  const admin = openAdmin(broker.bootstrap)
  await createTopic(admin, `${prefix}small`, 1, { 'max.message.bytes': '1000' })
  admin.disconnect()
  const lease = await leaseOf(engine)
  const unit = (bytes: number) => {
    const records = [record('before'), { ...record('large'), data: 'x'.repeat(bytes) }]
    const appends = [{ topic: 'small', partition: 0, records, callOf: undefined, fresh: false }]
    const state = [{ store: 's', keys: ['k'], values: [`${bytes}`] }]
    return engine.commit({ lease, from: undefined, to: 1, logId: engine.logId, appends, state })
  }
  for (const bytes of [2_000, 5_000_000]) {
    await assert.rejects(unit(bytes), (error) => isSemelError(error) && error.outcome === 'not-applied')
    assert.deepEqual(await engine.readState(lease.task, 's', ['k']), [undefined])
    assert.equal((await engine.load(lease)).position, undefined)
  }
  await unit(10)
  assert.deepEqual(await engine.readState(lease.task, 's', ['k']), ['10'])
  const { events } = await engine.read({ topic: 'small', partition: 0, offset: 0, ...wide })
  assert.deepEqual(
    events.map(({ id }) => id),
    ['before', 'large'],
  )
  await engine.close()
})

test('what is asked of a task while it commits never sets back its state', async () => {
  const { engine } = await opening()
  const lease = await leaseOf(engine)
  let isDone = false
  const asking = (async () => {
    while (!isDone) await engine.status()
  })()
  for (let to = 1; to <= 60; to++) {
    const state = [{ store: 's', keys: ['last', `k${to}`], values: [`${to}`, 'x'] }]
    await engine.commit({
      lease,
      from: to === 1 ? undefined : to - 1,
      to,
      logId: engine.logId,
      appends: [],
      state,
    })
    assert.deepEqual(await engine.readState(lease.task, 's', ['last', `k${to}`]), [`${to}`, 'x'])
  }
  isDone = true
  await asking
  assert.equal((await engine.load(lease)).position, 60)
  await engine.close()
})

test('a transaction that hangs stops reading below it, and status names its producer; what it blocks comes when it ends (K10, V3)', async () => {
  const { engine, prefix } = await opening()
  const producer = await openTransactional(broker.bootstrap, 'hanging', { 'transaction.timeout.ms': 60_000 })
  await call((done) => producer.beginTransaction(done))
  producer.produce(`${prefix}orders`, 0, Buffer.from('open'), null)
  await call((done) => producer.flush(5_000, done))
  const batch = {
    topic: 'orders',
    partition: 0,
    records: [record('behind')],
    callOf: undefined,
    fresh: false,
  }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  const read = () => engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })
  assert.deepEqual((await read()).events, [])
  const { storage } = await engine.status()
  assert.equal(storage.stuckPartitions, 1)
  const producers = await producersOf(broker.brokers[0]!.port, `${prefix}orders`, 0)
  const holder = producers.find(({ openSince }) => openSince === 0)
  assert.equal(
    storage.hangingTransactions,
    `producer ${holder!.producerId} (epoch 0, transactional id "hanging") open since offset 0 of ${prefix}orders/0`,
  )
  await call((done) => producer.abortTransaction(5_000, done))
  await until(async () => (await read()).events.length > 0)
  assert.deepEqual(
    (await read()).events.map(({ id }) => id),
    ['behind'],
  )
  assert.deepEqual((await engine.status()).storage, { stuckPartitions: 0 })
  await disconnect(producer)
  await engine.close()
})

test('a member that leaves in the middle of a handover closes its consumer: nothing keeps the process from ending', async () => {
  let open = 0
  class WatchedConsumer extends rdkafka.KafkaConsumer {
    override disconnect(done: Done<unknown>): this {
      open++
      return super.disconnect((error, result) => {
        open--
        done(error, result)
      })
    }
  }
  const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
  const request = { group: 'g', topics: [{ topic: 'orders', partitions: 6 }], leaseMs: 10_000, report }
  for (let round = 0; round < 3; round++) {
    const prefix = `engine${++logs}.`
    const [first, second] = [
      await opened(prefix, { ...rdkafka, KafkaConsumer: WatchedConsumer }),
      await opened(prefix),
    ]
    await first.declareTopics([{ name: 'orders', partitions: 6, dedupWindowMs: 0 }])
    let [owned, revocations] = [0, 0]
    const leaving = await first.join(request, {
      assigned: (leases) => {
        owned += leases.length
      },
      // The one for the other member and the one for leaving end together.
      revoked: async () => {
        revocations++
        await until(() => revocations === 2)
      },
    })
    await until(() => owned === 6)
    await second.join(request, { assigned: () => undefined, revoked: async () => undefined })
    await until(() => revocations === 1)
    await leaving.leave()
    assert.equal(open, 0)
    await Promise.all([first.close(), second.close()])
  }
})

test('who publishes with the client and who registers something at the same time share one producer, which keeps their order (P2)', async () => {
  const { engine: first, prefix } = await opening()
  await first.close()
  let producers = 0
  class CountedProducer extends rdkafka.Producer {
    constructor(config: Config) {
      super(config)
      if (config['transactional.id'] === undefined) producers++
    }
  }
  const engine = await opened(prefix, { ...rdkafka, Producer: CountedProducer }, 'binary', compressing)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  assert.equal(producers, 0)
  const batch = { topic: 'orders', partition: 0, records: [record('a')], callOf: undefined, fresh: false }
  const appended = engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  const declared = engine.declareTopics([{ name: 'totals', partitions: 1, dedupWindowMs: 0 }])
  await Promise.all([appended, declared, leaseOf(engine)])
  assert.equal(producers, 1)
  await engine.close()
})

/** The client, with another word of its admin part now and then: what brokers do for a moment only, not on purpose. */
function withAdmin(change: (admin: Admin) => void): ClientModule {
  const create = (config: Config): Admin => {
    const admin = rdkafka.AdminClient.create(config)
    change(admin)
    return admin
  }
  return { ...rdkafka, AdminClient: { ...rdkafka.AdminClient, create } }
}

test('a topic that cannot be created while every broker is fenced is created when one is back', async () => {
  let refusals = 0
  const refusal = Object.assign(new Error('All brokers are currently fenced.'), { code: 38, origin: 'local' })
  const client = withAdmin((admin) => {
    const create = admin.createTopic.bind(admin)
    admin.createTopic = (topic, timeoutMs, done) => {
      if (refusals++ < 3) setImmediate(() => done(refusal, undefined))
      else create(topic, timeoutMs, done)
    }
  })
  const engine = await opened('fenced.', client)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  assert.equal((await engine.bounds('orders')).length, 1)
  assert.ok(refusals > 3)
  await engine.close()
})

test('an end that no broker tells is asked for again, never taken for a lower one (R1, D5)', async () => {
  let silent = 0
  const client = withAdmin((admin) => {
    const list = admin.listOffsets.bind(admin)
    // As after the start of a broker: neither an offset nor an error.
    admin.listOffsets = (partitions, options, done) =>
      list(partitions, options, (error, answers) => {
        const isSilent = silent > 0 && silent-- > 0
        done(error, isSilent ? answers.map((answer) => ({ ...answer, offset: -1001 })) : answers)
      })
  })
  const engine = await opened(`engine${++logs}.`, client)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  const batch = { topic: 'orders', partition: 0, records: [record('a')], callOf: undefined, fresh: false }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  silent = 4
  assert.deepEqual(await engine.bounds('orders'), [{ earliest: 0, end: 1 }])
  silent = 4
  assert.equal((await engine.read({ topic: 'orders', partition: 0, offset: 0, ...wide })).events.length, 1)
  assert.equal(silent, 0)
  await engine.close()
})

test('a topic that was deleted and made again is LOG_REGRESSED, not an empty log (D6, K8)', async () => {
  const { engine, prefix } = await opening()
  await engine.close()
  const admin = openAdmin(broker.bootstrap)
  await call<void>((done) => admin.deleteTopic(`${prefix}orders`, 10_000, done))
  const again = await opened(prefix)
  const declare = () => again.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  await assert.rejects(declare, (error) => hasCode(error, 'LOG_REGRESSED'))
  admin.disconnect()
  await again.close()
})

test('what retention has passed is OFFSET_OUT_OF_RANGE with where the log begins now, not a jump (R3, K8)', async () => {
  const { engine, prefix } = await opening()
  const records = ['a', 'b', 'c'].map(record)
  const batch = { topic: 'orders', partition: 0, records, callOf: undefined, fresh: false }
  await engine.append({ calls: 1, batches: [batch], failuresSeen: 0 }, { durability: 'fsync' })
  const admin = openAdmin(broker.bootstrap)
  const before = [{ topic: `${prefix}orders`, partition: 0, offset: 2 }]
  await call((done) => admin.deleteRecords(before, { timeout: 10_000 }, done))
  const read = (offset: number) => engine.read({ topic: 'orders', partition: 0, offset, ...wide })
  await assert.rejects(read(0), (error) => {
    return isSemelError(error) && error.code === 'OFFSET_OUT_OF_RANGE' && error.earliest === 2
  })
  assert.deepEqual(
    (await read(2)).events.map(({ id }) => id),
    ['c'],
  )
  admin.disconnect()
  await engine.close()
})

test('partitions added behind our back are TOPIC_CONTRADICTION at the next start: keys would change their place (P4, K8)', async () => {
  const { engine, prefix } = await opening()
  await engine.close()
  const admin = openAdmin(broker.bootstrap)
  await call<void>((done) => admin.createPartitions(`${prefix}orders`, 3, 10_000, done))
  const again = await opened(prefix)
  const declare = () => again.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  await assert.rejects(declare, (error) => hasCode(error, 'TOPIC_CONTRADICTION'))
  admin.disconnect()
  await again.close()
})

test('unsafe and impossible wishes are refused by name (D7, N7)', async () => {
  const { engine } = await opening()
  const wish = engine.declareTopics([{ name: 'wish', partitions: 1, dedupWindowMs: 1_000 }])
  await assert.rejects(wish, (error) => hasCode(error, 'UNSUPPORTED'))
  await engine.close()
  const strict = kafka({ brokers: broker.bootstrap, prefix: 'strict.', client: rdkafka })
  const context = { platform: realPlatform, member: 'm' }
  await assert.rejects(strict.open({ ...context, durability: 'fsync' }), (error) =>
    hasCode(error, 'UNSAFE_SETTING'),
  )
  await strict.open({ ...context, durability: 'os' })
  await strict.close()
  const settings = { acks: 1 }
  assert.throws(
    () => kafka({ brokers: broker.bootstrap, settings }),
    (error) => hasCode(error, 'UNSAFE_SETTING'),
  )
})

test('without the client, opening says which package is missing', async () => {
  const engine = kafka({ brokers: broker.bootstrap })
  const opening = engine.open({ platform: realPlatform, member: 'm', durability: 'fsync' })
  await assert.rejects(opening, (error) => {
    return hasCode(error, 'DRIVER_MISSING') && String(error).includes('@confluentinc/kafka-javascript')
  })
})

test('who asks for the status while its broker is killed and starts again gets an error that says so, or the answer (K1)', async () => {
  const { engine } = await opening()
  await leaseOf(engine)
  const owners = async () => {
    const { groups } = await engine.status().catch((error: unknown) => {
      assert.ok(isSemelError(error) && error.retryable && error.outcome === 'not-applied', String(error))
      return { groups: [] }
    })
    return groups.map(({ owner }) => owner)
  }
  assert.deepEqual(await owners(), ['m'])
  const [node] = broker.brokers
  await node!.kill9()
  const asked = Array.from({ length: 5 }, owners)
  await node!.start()
  await Promise.all(asked)
  await until(async () => (await owners())[0] === 'm', 60_000)
  await engine.close()
})
