import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { TopicPartition } from '../../src/engines/kafka/client-types.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import {
  call,
  consumeSome,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openTransactional,
  rdkafka,
} from '../rig/kafka/client.ts'
import { apiKeys, HoldingProxy, initProducerId, unitKeys } from '../rig/kafka/holding-proxy.ts'
import { transactionsOf } from '../rig/kafka/questions.ts'
import { RawProducer } from '../rig/kafka/raw-producer.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

let broker: Kafka
let proxy: HoldingProxy
before(async () => {
  const advertise = async (_id: number, port: number) => {
    proxy = await HoldingProxy.listen(port)
    return proxy.port
  }
  broker = await startKafka({ brokers: 1, advertise })
  const admin = openAdmin(broker.bootstrap)
  await createTopic(admin, 'raw', 1)
  admin.disconnect()
  // The first transactional producer makes the broker a coordinator.
  await disconnect(await openTransactional(broker.bootstrap, 'first'))
})
after(async () => {
  await broker.stop()
  await proxy[Symbol.asyncDispose]()
})

/** Until no transaction of this id is open or ending. */
const settled = (id: string) =>
  until(async () => {
    const open = await transactionsOf(broker.brokers[0]!.port, ['Ongoing', 'PrepareCommit', 'PrepareAbort'])
    return open.every(({ transactionalId }) => transactionalId !== id)
  })

let readers = 0
/** What a reader of committed records sees in the topic, of those that begin with `start`. */
async function visible(start: string): Promise<string[]> {
  const consumer = await openConsumer(broker.bootstrap, `reader${++readers}`)
  consumer.assign([{ topic: 'raw', partition: 0, offset: 0 }])
  const found = await consumeSome(consumer, 1_000, 2_000)
  await disconnect(consumer)
  return found.map(({ value }) => String(value)).filter((value) => value.startsWith(start))
}

test('a late EndTxn commits what its sender never committed, unless the producer was initialised again (K2, X5)', async () => {
  for (const again of [false, true]) {
    const id = `end-${again}`
    const producer = new RawProducer(proxy.port, id)
    await producer.init()
    await producer.add('raw')
    await producer.produce('raw', `${id} a`)
    proxy.hold(apiKeys.endTxn)
    const lost = producer.end('commit')
    await proxy.held()
    if (again) await producer.init()
    await producer.add('raw')
    await producer.produce('raw', `${id} b`)
    await proxy.release()
    const late = await lost
    await producer.end('abort')
    await settled(id)
    assert.equal(late === 0, !again, `the late request was answered with ${late}`)
    assert.deepEqual(await visible(id), again ? [] : [`${id} a`, `${id} b`])
  }
})

test('a late Produce of an aborted transaction gets into the next one, unless the producer was initialised again (K3, X5)', async () => {
  for (const again of [false, true]) {
    const id = `produce-${again}`
    const producer = new RawProducer(proxy.port, id)
    await producer.init()
    await producer.add('raw')
    proxy.hold(apiKeys.produce)
    const lost = producer.produce('raw', `${id} a`)
    await proxy.held()
    await producer.end('abort')
    await settled(id)
    if (again) await producer.init()
    await producer.add('raw')
    await proxy.release()
    const late = await lost
    await producer.end('commit')
    await settled(id)
    assert.equal(late === 0, !again, `the late request was answered with ${late}`)
    assert.deepEqual(await visible(id), again ? [] : [`${id} a`])
  }
})

/** What the group has committed of the topic. */
async function offsetOf(group: string): Promise<number | undefined> {
  const admin = openAdmin(broker.bootstrap)
  const [found] = await call<{ readonly partitions: TopicPartition[] }[]>((done) =>
    admin.listConsumerGroupOffsets(
      [{ groupId: group }],
      { requireStableOffsets: true, timeout: 5_000 },
      done,
    ),
  )
  admin.disconnect()
  return found?.partitions.find(({ topic: name }) => name === 'raw')?.offset
}

test('a late TxnOffsetCommit of an aborted transaction gets into the next one, unless the producer was initialised again (K3, X5)', async () => {
  for (const again of [false, true]) {
    const [id, group] = [`offsets-${again}`, `group-${again}`]
    const producer = new RawProducer(proxy.port, id)
    await producer.init()
    assert.equal(await producer.addGroup(group), 0)
    assert.equal(await producer.commitOffset(group, 'raw', 3), 0)
    await producer.end('commit')
    await settled(id)
    await producer.addGroup(group)
    proxy.hold(unitKeys.offsetCommit)
    const lost = producer.commitOffset(group, 'raw', 7)
    await proxy.held()
    await producer.end('abort')
    await settled(id)
    if (again) await producer.init()
    await producer.addGroup(group)
    await proxy.release()
    const late = await lost
    await producer.end('commit')
    await settled(id)
    assert.equal(late === 0, !again, `the late request was answered with ${late}`)
    assert.equal(await offsetOf(group), again ? 3 : 7)
  }
})

interface Step {
  readonly n: number
}
const steps = topic<Step>('steps', { partitions: 1, dedup: false, key: () => 'k' })
const sums = topic<Step & { readonly sum: number }>('sums', { partitions: 1, dedup: false, key: () => 'k' })

/** Six steps, each added up in state and emitted; something happens to a request of the second one's unit. */
async function requireSums(
  prefix: string,
  groupProtocol: 'consumer' | 'classic',
  strike: { arm(): void; struck(): Promise<void>; end?(): Promise<void> },
): Promise<void> {
  const engine = kafka({
    brokers: broker.bootstrap,
    prefix,
    client: rdkafka,
    groupProtocol,
    acceptUnsafe: ['replication.factor'],
    operationMs: 8_000,
  })
  const bus = await openBus({ engine, topics: [steps, sums], member: 'm' })
  let arm = false
  const consumer = bus.consume(steps, { group: 'g', leaseMs: 10_000 }, async ({ data: { n } }, tx) => {
    const state = tx.state<number>('sum')
    const sum = ((await state.get()) ?? 0) + n
    await state.set(sum)
    tx.emit(sums, { n, sum })
    if (arm) strike.arm()
    arm = false
  })
  const found = async () => (await readAll(bus, sums)).map(({ data }) => [data.n, data.sum])
  await bus.publish(steps, { n: 1 })
  await until(async () => (await found()).length === 1)
  arm = true
  await bus.publish(steps, { n: 2 })
  await strike.struck()
  await until(async () => (await found()).length === 2)
  await bus.publish(steps, { n: 3 })
  await strike.end?.()
  await bus.publishMany([4, 5, 6].map((n) => steps.event({ n })))
  await until(async () => (await found()).length === 6)
  assert.deepEqual(await found(), [
    [1, 1],
    [2, 3],
    [3, 6],
    [4, 10],
    [5, 15],
    [6, 21],
  ])
  assert.equal(consumer.tasks()[0]?.error, undefined)
  await bus.stop()
}

for (const [name, apiKey] of Object.entries({ ...apiKeys, ...unitKeys })) {
  test(`the engine goes on while a request (${name}) of a unit is held back, and is not hit by it later (K2, K3, X1)`, async () => {
    let producers = 0
    await requireSums(`held-${name.toLowerCase()}.`, 'consumer', {
      arm: () => {
        proxy.hold(apiKey)
        producers = proxy.asked(initProducerId)
      },
      struck: () => proxy.held(),
      end: () => proxy.release(),
    })
    // Whatever became of the unit, what is late is of a producer that is over.
    assert.ok(proxy.asked(initProducerId) > producers)
  })
}

for (const [name, apiKey] of Object.entries(unitKeys)) {
  test(`the reply to a request (${name}) of a unit is lost: it is asked again, and the unit counts once (X5, U1, X1)`, async () => {
    await requireSums(`lost-${name.toLowerCase()}.`, 'consumer', {
      arm: () => proxy.loseReply(apiKey, 'semel.task'),
      struck: () => proxy.lost(),
    })
  })
}

// Units of classic groups are written by the client.
for (const [name, apiKey] of Object.entries(apiKeys)) {
  test(`in a classic group, the engine goes on while a request (${name}) of a unit is held back, and is not hit by it later (K2, K3, X1)`, async () => {
    await requireSums(`classic-${name.toLowerCase()}.`, 'classic', {
      arm: () => proxy.hold(apiKey),
      struck: () => proxy.held(),
      end: () => proxy.release(),
    })
  })
}

for (const protocol of ['consumer', 'classic'] as const) {
  test(`replies to the commits (endTxn) of a unit are lost, in a ${protocol} group: what the broker committed counts, once (X5, U1, X1)`, async () => {
    await requireSums(`lost-${protocol}.`, protocol, {
      arm: () => proxy.loseReplies(apiKeys.endTxn, 'semel.task'),
      struck: () => proxy.lost(),
    })
  })
}
