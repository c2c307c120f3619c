import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from '../../src/engines/kafka/client-types.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  abort,
  begin,
  call,
  commit,
  consumeSome,
  createTopic,
  disconnect,
  errorOf,
  openAdmin,
  openConsumer,
  openTransactional,
  produceAll,
  rdkafka,
} from '../rig/kafka/client.ts'
import { producersOf, transactionsOf } from '../rig/kafka/questions.ts'

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

const broker = () => kafka.brokers[0]!

/** All that a read-committed reader sees, up to the end that the broker tells it. */
async function valuesOf(topic: string): Promise<string[]> {
  const consumer = await openConsumer(kafka.bootstrap, `check-${topic}`, { 'enable.partition.eof': true })
  let ended = false
  consumer.on('partition.eof', () => {
    ended = true
  })
  consumer.assign([{ topic, partition: 0, offset: 0 }])
  const values: string[] = []
  while (!ended) values.push(...(await consumeSome(consumer, 100, 50)).map(({ value }) => String(value)))
  await disconnect(consumer)
  return values
}

async function endOf(topic: string, isolationLevel: 0 | 1): Promise<number> {
  const ask = [{ topic, partition: 0, offset: rdkafka.OffsetSpec.LATEST }]
  const answer = await call<{ offset: number }[]>((done) => admin.listOffsets(ask, { isolationLevel }, done))
  return answer[0]!.offset
}

test('committed is read, aborted is not, and both leave a marker that takes an offset', async () => {
  await createTopic(admin, 'both', 1)
  const producer = await openTransactional(kafka.bootstrap, 'both')
  for (const end of [commit, abort, commit]) {
    await begin(producer)
    await produceAll(producer, 'both', [{ value: end.name, partition: 0 }])
    await end(producer)
  }
  assert.deepEqual(await valuesOf('both'), ['commit', 'commit'])
  assert.equal(await endOf('both', 0), 6)
  await disconnect(producer)
})

test('an open transaction holds the stable end back, and the broker knows whose it is', async () => {
  await createTopic(admin, 'open', 1)
  const producer = await openTransactional(kafka.bootstrap, 'open')
  await begin(producer)
  await produceAll(producer, 'open', [{ value: 'x', partition: 0 }])
  assert.deepEqual([await endOf('open', 0), await endOf('open', 1)], [1, 0])

  const [holder] = await producersOf(broker().port, 'open', 0)
  const transaction = (await transactionsOf(broker().port, ['Ongoing']))[0]
  assert.equal(holder?.openSince, 0)
  assert.equal(transaction?.transactionalId, 'open')
  assert.equal(transaction?.producerId, holder?.producerId)
  await abort(producer)
  await disconnect(producer)
})

test('an older producer of the same id is fenced for good: fatal -144 now, -150 when it produces', async () => {
  await createTopic(admin, 'fenced', 1)
  const old = await openTransactional(kafka.bootstrap, 'same')
  await begin(old)
  await produceAll(old, 'fenced', [{ value: 'old', partition: 0 }])
  const young = await openTransactional(kafka.bootstrap, 'same')

  const { code, isFatal } = await errorOf(() => commit(old))
  assert.deepEqual({ code, isFatal }, { code: -144, isFatal: true }) // ERR__FENCED
  assert.equal((await errorOf(() => abort(old))).code, -144)
  assert.equal((await errorOf(() => begin(old))).code, -144)
  assert.equal((await errorOf(() => produceAll(old, 'fenced', [{ value: 'x', partition: 0 }]))).code, -150)
  assert.deepEqual(await valuesOf('fenced'), [])
  await disconnect(old)
  await disconnect(young)
})

test('a transaction that outlives its timeout is aborted by the broker; the producer finds itself fenced', async () => {
  await createTopic(admin, 'slow', 1)
  const producer = await openTransactional(kafka.bootstrap, 'slow', { 'transaction.timeout.ms': 1_000 })
  await begin(producer)
  await produceAll(producer, 'slow', [{ value: 'late', partition: 0 }])
  for (let tries = 0; (await endOf('slow', 1)) === 0 && tries < 100; tries++) await sleep(100)
  const { code, isFatal } = await errorOf(() => commit(producer))
  assert.deepEqual({ code, isFatal }, { code: -144, isFatal: true })
  assert.deepEqual(await valuesOf('slow'), [])
  await disconnect(producer)
})

test('a message that the broker refuses costs the transaction, and after its abort the next transaction as well', async () => {
  await createTopic(admin, 'refused', 1)
  const producer = await openTransactional(kafka.bootstrap, 'refused', { 'message.max.bytes': 2_000_000 })
  const produce = (value: string) => produceAll(producer, 'refused', [{ value, partition: 0 }])
  await begin(producer)
  assert.equal((await errorOf(() => produce('x'.repeat(1_500_000)))).code, 10)
  const { code, isFatal, isTxnRequiresAbort } = await errorOf(() => commit(producer))
  assert.deepEqual(
    { code, isFatal, isTxnRequiresAbort },
    { code: 10, isFatal: false, isTxnRequiresAbort: true },
  )
  await abort(producer)

  await begin(producer)
  assert.equal((await errorOf(() => produce('small'))).code, -152) // ERR__PURGE_QUEUE
  assert.equal((await errorOf(() => commit(producer))).code, 45) // out of sequence: a new producer is the way out
  await disconnect(producer)
})

test('a message that produce() itself refuses is not part of the transaction: commit does not know of it', async () => {
  await createTopic(admin, 'thrown', 1)
  const producer = await openTransactional(kafka.bootstrap, 'thrown')
  await begin(producer)
  await produceAll(producer, 'thrown', [{ value: 'small', partition: 0 }])
  assert.throws(() => producer.produce('thrown', 0, Buffer.alloc(1_500_000)), { code: 10 })
  await commit(producer)
  assert.deepEqual(await valuesOf('thrown'), ['small'])
  await disconnect(producer)
})

test('a commit without an answer is -185 and retriable, and only the same call goes on: abort and begin are -173', async () => {
  await createTopic(admin, 'silent', 1)
  const producer = await openTransactional(kafka.bootstrap, 'silent')
  await begin(producer)
  await produceAll(producer, 'silent', [{ value: 'x', partition: 0 }])
  await broker().pause()
  const { code, isFatal, isRetriable, isTxnRequiresAbort } = await errorOf(() => commit(producer, 500))
  const flags = { isFatal, isRetriable, isTxnRequiresAbort }
  assert.deepEqual(
    { code, ...flags },
    { code: -185, isFatal: false, isRetriable: true, isTxnRequiresAbort: false },
  )
  assert.equal((await errorOf(() => abort(producer))).code, -173) // ERR__CONFLICT
  assert.equal((await errorOf(() => begin(producer))).code, -173)
  broker().resume()
  await commit(producer)
  assert.deepEqual(await valuesOf('silent'), ['x'])
  await disconnect(producer)
})

test('after a commit without an answer, a new producer of the same id ends the doubt: all or nothing, and it stays so', async () => {
  await createTopic(admin, 'doubt', 1)
  const old = await openTransactional(kafka.bootstrap, 'doubt')
  await begin(old)
  await produceAll(old, 'doubt', [{ value: 'x', partition: 0 }])
  await broker().kill9()
  assert.equal((await errorOf(() => commit(old, 500))).code, -185)
  await broker().start()
  const young = await openTransactional(kafka.bootstrap, 'doubt')
  const settled = await valuesOf('doubt')
  const late = await errorOf(() => commit(old)).catch(() => undefined)
  assert.equal(late?.code, -144)
  assert.deepEqual(await valuesOf('doubt'), settled)
  assert.equal(await endOf('doubt', 0), await endOf('doubt', 1))
  await disconnect(old)
  await disconnect(young)
})
