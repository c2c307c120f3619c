import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AppendResult, Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { BatchSender, type DirectBatch } from '../../src/engines/kafka/batch-sender.ts'
import { sign } from '../../src/engines/kafka/batch-writer.ts'
import { batchBare } from '../../src/engines/kafka/event-batches.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { clientCode } from '../../src/engines/kafka/kafka-errors.ts'
import { produce } from '../../src/engines/kafka/produce-question.ts'
import { initProducer, type ProducerIdentity } from '../../src/engines/kafka/producer-questions.ts'
import type { TopicTable } from '../../src/engines/kafka/topic-table.ts'
import { hasCode, isSemelError } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { apiKeys, HoldingProxy } from '../rig/kafka/holding-proxy.ts'
import { asking } from '../rig/kafka/questions.ts'
import { until } from '../support/until.ts'

// Publishing without the client, where answers are late or lost and producers are refused.

let broker: Kafka
let proxy: HoldingProxy
before(async () => {
  const advertise = async (_id: number, port: number) => {
    proxy = await HoldingProxy.listen(port)
    return proxy.port
  }
  broker = await startKafka({ brokers: 1, advertise })
})
after(async () => {
  await broker.stop()
  await proxy[Symbol.asyncDispose]()
})

const topic = 'events'
const record = (id: string) => {
  return {
    id,
    source: '/test',
    type: 'test',
    time: 1_700_000_000_000,
    key: 'k',
    data: id,
    attributes: undefined,
  }
}

async function opened(prefix: string, operationMs: number, bootstrap = broker.bootstrap): Promise<Engine> {
  const acceptUnsafe = ['replication.factor', 'transaction.timeout.ms'] as const
  const reach = { brokers: bootstrap, client: rdkafka, acceptUnsafe, operationMs }
  const engine = guardEngine(kafka({ ...reach, prefix, transactionTimeoutMs: 20_000 }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  await engine.declareTopics([{ name: topic, partitions: 2, dedupWindowMs: 0 }])
  return engine
}

/** One call with an event in each of these partitions. */
function append(engine: Engine, id: string, partitions: readonly number[] = [0]): Promise<AppendResult> {
  const batches = partitions.map((partition) => {
    return { topic, partition, records: [record(id)], callOf: undefined, fresh: true }
  })
  return engine.append({ calls: 1, batches, failuresSeen: 0 }, { durability: 'fsync' })
}

async function idsOf(engine: Engine, partition = 0): Promise<string[]> {
  const ids: string[] = []
  for (let offset = 0; ; ) {
    const range = { topic, partition, offset, maxEvents: 1_000, maxBytes: 1 << 20 }
    const { events, next, end } = await engine.read(range)
    ids.push(...events.map(({ id }) => id))
    if (next >= end) return ids
    offset = next
  }
}

const isUnknown = (error: unknown) => isSemelError(error) && error.retryable && error.outcome === 'unknown'
const isNotApplied = (error: unknown) => isSemelError(error) && error.outcome === 'not-applied'

test('the answer to a published event is lost: it is sent again, written once, and acknowledged where it is (P1, U1)', async () => {
  const engine = await opened('lost.', 20_000)
  await append(engine, 'first')
  proxy.loseReply(apiKeys.produce, 'lost.events')
  const lost = append(engine, 'second')
  await proxy.lost()
  const third = append(engine, 'third')
  assert.equal((await lost).batches[0]!.firstOffset, 1)
  assert.equal((await third).batches[0]!.firstOffset, 2)
  assert.deepEqual(await idsOf(engine), ['first', 'second', 'third'])
  await engine.close()
})

test('an event without an answer is unknown when its time is over, those behind it are not sent, and what arrives late is refused (P2, U1)', async () => {
  const engine = await opened('late.', 2_000)
  await append(engine, 'first')
  proxy.hold(apiKeys.produce)
  const held = append(engine, 'held')
  await proxy.held()
  const behind = append(engine, 'behind')
  await assert.rejects(held, isUnknown)
  await assert.rejects(behind, (error) => hasCode(error, 'PREDECESSOR_FAILED') && isNotApplied(error))
  await append(engine, 'after')
  await proxy.release()
  await append(engine, 'last')
  assert.deepEqual(await idsOf(engine), ['first', 'after', 'last'])
  await engine.close()
})

test('an event that was written without an answer is there once, its fate unknown; the next epoch goes on behind it (P2, U1)', async () => {
  const engine = await opened('written.', 1_500)
  await append(engine, 'first')
  proxy.loseReplies(apiKeys.produce, 'written.events')
  await assert.rejects(append(engine, 'written'), isUnknown)
  proxy.answerAll()
  await append(engine, 'after')
  assert.deepEqual(await idsOf(engine), ['first', 'written', 'after'])
  await engine.close()
})

const both = [0, 1]

test('the answer to a commit is lost: the log tells that it happened (X5, P3)', async () => {
  const engine = await opened('commit.', 20_000)
  await append(engine, 'first', both)
  proxy.loseReplies(apiKeys.endTxn, 'commit.semel.publish')
  const result = await append(engine, 'second', both)
  await append(engine, 'third', both)
  for (const partition of both) assert.deepEqual(await idsOf(engine, partition), ['first', 'second', 'third'])
  assert.ok(result.batches.every(({ firstOffset }) => firstOffset > 0))
  await engine.close()
})

for (const [name, apiKey] of Object.entries(apiKeys)) {
  test(`a request (${name}) of a published call is held back: the call is whole or not there, and the late request hits no other (K2, K3, X5, P3)`, async () => {
    const engine = await opened(`held-${name.toLowerCase()}.`, 8_000)
    await append(engine, 'first', both)
    proxy.hold(apiKey)
    const held = append(engine, 'held', both)
    await proxy.held()
    const wasApplied = await held.then(
      () => true,
      (error: unknown) => {
        assert.ok(isNotApplied(error), String(error))
        return false
      },
    )
    await append(engine, 'after', both)
    await proxy.release()
    await append(engine, 'last', both)
    const expected = ['first', ...(wasApplied ? ['held'] : []), 'after', 'last']
    for (const partition of both) assert.deepEqual(await idsOf(engine, partition), expected)
    // A commit that never arrived is undone; a batch is sent again.
    assert.equal(wasApplied, name === 'produce')
    await engine.close()
  })
}

test('a leader that knows a younger epoch, or another sequence, refuses for good: nothing is written, and the next event is (P2)', async () => {
  const engine = await opened('refused.', 5_000)
  const [node] = broker.brokers
  const place = { topic: `refused.${topic}`, partition: 0 }
  const prepared = (ids: readonly string[]): DirectBatch => {
    const batched = batchBare(
      ids.map((key) => ({ key, value: Buffer.from('null') })),
      realPlatform.clock.now(),
    )
    return { ...place, ...batched, count: ids.length, isWhole: true }
  }
  await asking(node!.port, async (ask) => {
    const identity = await initProducer(ask, undefined, 60_000)
    const topics = { leader: () => ({ host: '127.0.0.1', port: node!.port }), confirm: async () => place }
    const parts = {
      platform: realPlatform,
      // As far as a sender asks it.
      topics: topics as unknown as TopicTable,
      access: { tls: undefined, sasl: undefined },
      operationMs: 5_000,
    }
    const sender = new BatchSender(parts, undefined, async () => identity)
    const send = async (id: string) => {
      const delivery = sender.send([prepared([id])])
      await delivery.done
      const [failure] = delivery.failures
      return failure === undefined ? 'written' : [clientCode(failure.error), failure.outcome]
    }
    const writeAs = async (other: ProducerIdentity, ids: readonly string[]) => {
      const { batches } = prepared(ids)
      sign(batches[0]!, { ...other, sequence: 0, isTransactional: false })
      const [answer] = await produce(ask, undefined, 1_000, [{ ...place, bytes: batches[0]!.bytes }])
      assert.equal(answer!.error, 0)
    }
    assert.equal(await send('a'), 'written')
    await writeAs({ ...identity, epoch: identity.epoch + 1 }, ['b', 'c'])
    // An older epoch; then its own next one, in which two records are written already.
    assert.deepEqual(await send('d'), [47, 'not-applied'])
    assert.deepEqual(await send('e'), [45, 'not-applied'])
    assert.equal(await send('f'), 'written')
    sender.close()
  })
  const { events } = await engine.read({ topic, partition: 0, offset: 0, maxEvents: 9, maxBytes: 1 << 20 })
  assert.deepEqual(events.map(({ key }) => key), ['a', 'b', 'c', 'f']) // biome-ignore format: one idea
  await engine.close()
})

type Offsets = ReadonlyMap<string, number>

/** Publishes one event after another, several under way, until `work` is over; answers where each is. */
async function publishing(engine: Engine, work: (soFar: Offsets) => Promise<void>): Promise<Offsets> {
  const offsets = new Map<string, number>()
  let isOver = false
  let next = 0
  const publisher = async (): Promise<void> => {
    while (!isOver) {
      const id = String(next++).padStart(6, '0')
      const { batches } = await append(engine, id)
      offsets.set(id, batches[0]!.firstOffset)
    }
  }
  const publishers = Promise.all(Array.from({ length: 4 }, publisher))
  await Promise.race([work(offsets), publishers])
  isOver = true
  await publishers
  return offsets
}

const more = (offsets: Offsets, count: number) => {
  const wanted = offsets.size + count
  return until(() => offsets.size >= wanted)
}

/** All are where it was said, none is twice, and they are in the order of the calls. */
async function requireOrder(engine: Engine, offsets: Offsets): Promise<void> {
  const ids = await idsOf(engine)
  assert.deepEqual(ids, [...offsets.keys()].toSorted())
  for (const [id, offset] of offsets) assert.equal(ids[offset], id)
}

test('the broker is killed and starts again while events are published: each is there once, in order (P2, D1)', async () => {
  const engine = await opened('killed.', 60_000)
  const offsets = await publishing(engine, async (soFar) => {
    await more(soFar, 200)
    await broker.brokers[0]!.kill9()
    await broker.brokers[0]!.start()
    await more(soFar, 200)
  })
  await requireOrder(engine, offsets)
  await engine.close()
})

test('brokers leave one after another, and partitions get other leaders: each event is there once, in order (P2, K1)', async () => {
  await using cluster = await startKafka({ brokers: 3 })
  const engine = await opened('rolled.', 60_000, cluster.bootstrap)
  const offsets = await publishing(engine, async (soFar) => {
    for (const node of cluster.brokers) {
      await more(soFar, 100)
      await node.stop()
      await more(soFar, 100)
      await node.start(3)
    }
  })
  await requireOrder(engine, offsets)
  await engine.close()
})
