import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Admin, Headers, Message } from '../../src/engines/kafka/client-types.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  abort,
  begin,
  call,
  commit,
  consumeSome,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openProducer,
  openTransactional,
  produceAll,
} from '../rig/kafka/client.ts'

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

const offsetsOf = (messages: readonly Message[]) => messages.map(({ offset }) => offset)
const numbered = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ value: `${index}`, partition: 0 }))

test('past aborted records and markers only the position and the end-of-partition event tell the truth', async () => {
  await createTopic(admin, 'holes', 1)
  const producer = await openTransactional(kafka.bootstrap, 'holes')
  for (const end of [commit, abort]) {
    await begin(producer)
    await produceAll(producer, 'holes', numbered(3))
    await end(producer)
  }
  const consumer = await openConsumer(kafka.bootstrap, 'holes', { 'enable.partition.eof': true })
  const ends: number[] = []
  consumer.on('partition.eof', ({ offset }: { offset: number }) => ends.push(offset))
  consumer.assign([{ topic: 'holes', partition: 0, offset: 0 }])

  const messages = await consumeSome(consumer, 3)
  assert.deepEqual(offsetsOf(messages), [0, 1, 2])
  const deadline = performance.now() + 5_000
  while (ends.length === 0 && performance.now() < deadline) await consumeSome(consumer, 1, 50)

  assert.deepEqual(ends, [8]) // three events, a marker, three aborted ones, a marker
  const bounds = await call<{ lowOffset: number; highOffset: number }>((done) =>
    consumer.queryWatermarkOffsets('holes', 0, 5_000, done),
  )
  assert.deepEqual(bounds, { lowOffset: 0, highOffset: 8 })
  assert.equal(consumer.position([{ topic: 'holes', partition: 0 }])[0]?.offset, 8)
  await disconnect(consumer)
  await disconnect(producer)
})

test('headers and bytes come back as they went in; a missing key and an empty one differ', async () => {
  await createTopic(admin, 'bytes', 1)
  const producer = await openProducer(kafka.bootstrap)
  const headers: Headers = [{ ce_id: '1' }, { ce_type: Buffer.from([0xff, 0]) }]
  producer.produce('bytes', 0, Buffer.from([0, 255]), null, 1_700_000_000_000, null, headers)
  producer.produce('bytes', 0, null, Buffer.alloc(0))
  await call((done) => producer.flush(5_000, done))
  const consumer = await openConsumer(kafka.bootstrap, 'bytes')
  consumer.assign([{ topic: 'bytes', partition: 0, offset: 0 }])
  const [first, second] = await consumeSome(consumer, 2)
  assert.deepEqual(first?.value, Buffer.from([0, 255]))
  assert.equal(first?.timestamp, 1_700_000_000_000)
  assert.deepEqual(first?.headers, [{ ce_id: Buffer.from('1') }, { ce_type: Buffer.from([0xff, 0]) }])
  assert.deepEqual([first?.key, second?.key, second?.value], [null, Buffer.alloc(0), null])
  await disconnect(consumer)
  await disconnect(producer)
})

test('consume(n) answers at most n, and what is there without waiting for more', async () => {
  await createTopic(admin, 'some', 1)
  const producer = await openProducer(kafka.bootstrap)
  await produceAll(producer, 'some', numbered(50))
  const consumer = await openConsumer(kafka.bootstrap, 'some')
  consumer.assign([{ topic: 'some', partition: 0, offset: 0 }])
  assert.equal((await consumeSome(consumer, 20)).length, 20)
  consumer.setDefaultConsumeTimeout(5_000)
  const start = performance.now()
  const rest = await call<Message[]>((done) => consumer.consume(1_000, done))
  assert.equal(rest.length, 30)
  assert.ok(performance.now() - start < 2_500)
  await disconnect(consumer)
  await disconnect(producer)
})

test('seek goes to an offset at once; pause stops one partition, and resume loses nothing of it', async () => {
  await createTopic(admin, 'seek', 2)
  const producer = await openProducer(kafka.bootstrap)
  for (const partition of [0, 1])
    await produceAll(
      producer,
      'seek',
      Array.from({ length: 10 }, () => ({ value: `${partition}`, partition })),
    )
  const consumer = await openConsumer(kafka.bootstrap, 'seek')
  const zero = { topic: 'seek', partition: 0 }
  consumer.assign([0, 1].map((partition) => ({ topic: 'seek', partition, offset: 0 })))
  await consumeSome(consumer, 20)
  consumer.pause([zero])
  for (const partition of [0, 1])
    await call((done) => consumer.seek({ topic: 'seek', partition, offset: 5 }, 5_000, done))
  const others = await consumeSome(consumer, 20, 1_000)
  assert.deepEqual(new Set(others.map(({ partition }) => partition)), new Set([1]))
  assert.deepEqual(offsetsOf(others), [5, 6, 7, 8, 9])
  consumer.resume([zero])
  assert.deepEqual(offsetsOf(await consumeSome(consumer, 5)), [5, 6, 7, 8, 9])
  await disconnect(consumer)
  await disconnect(producer)
})

test('offsetsForTimes answers the first offset at or after a time, and the end if there is none', async () => {
  await createTopic(admin, 'times', 1)
  const producer = await openProducer(kafka.bootstrap)
  for (const time of [1_000, 2_000, 3_000]) producer.produce('times', 0, Buffer.from('x'), null, time)
  await call((done) => producer.flush(5_000, done))
  const consumer = await openConsumer(kafka.bootstrap, 'times')
  const offsetAt = async (time: number) => {
    const ask = [{ topic: 'times', partition: 0, offset: time }]
    const [answer] = await call<{ offset?: number }[]>((done) => consumer.offsetsForTimes(ask, 5_000, done))
    return answer?.offset
  }
  assert.deepEqual([await offsetAt(1_500), await offsetAt(2_000)], [1, 1])
  assert.equal(await offsetAt(9_000), -1) // the logical end: ask for the bounds
  await disconnect(consumer)
  await disconnect(producer)
})
