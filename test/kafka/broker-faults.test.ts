import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { KafkaEngine } from '../../src/engines/kafka/kafka-engine.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { JudgedGroup } from '../rig/kafka/judged-group.ts'
import { until } from '../support/until.ts'

let cluster: Kafka
/** What is under way when a broker dies is given up after so long. */
const quick = { operationMs: 8_000, transactionTimeoutMs: 8_000 }
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 3_000, 'group.consumer.heartbeat.interval.ms': 300 }
  cluster = await startKafka({ brokers: 3, settings })
})
after(() => cluster.stop())

test('brokers killed, paused and rolled one after another: the group goes on, and the checker finds nothing lost, doubled or late (K1, D1, X1, U3, V1)', async () => {
  await using run = await JudgedGroup.open({ brokers: cluster.bootstrap, prefix: 'faults.', ...quick }, 2)
  const [first, second, third] = cluster.brokers
  await run.progress(20)

  await run.fault('kill', async () => {
    await first!.kill9()
    await run.progress(20)
    await first!.start(3)
  })
  await cluster.inSync()
  await run.fault('pause', async () => {
    await second!.pause()
    // The other two notice that it is silent, and take over what it led.
    await run.progress(20)
    second!.resume()
  })
  await cluster.inSync()
  await run.fault('roll', async () => {
    for (const broker of [first!, second!, third!]) {
      await broker.stop()
      await run.progress(10)
      await broker.start(3)
      await cluster.inSync()
    }
  })

  await run.progress(20)
  await run.finish({ minOk: { publish: 90, handle: 90 }, plannedFaults: { kill: 1, pause: 1, roll: 1 } })
})

const partitions = [0, 1, 2, 3, 4, 5]

async function opened(prefix: string, isDirect: boolean): Promise<Engine> {
  const engine = new KafkaEngine({
    client: rdkafka,
    isDirect,
    stateDirectory: undefined,
    standby: false,
    prefix,
    contentMode: 'binary',
    shared: { 'bootstrap.servers': cluster.bootstrap },
    groupProtocol: undefined,
    acceptUnsafe: [],
    ...quick,
  })
  const guarded = guardEngine(engine)
  await guarded.open({ platform: realPlatform, durability: 'fsync', member: 'm' })
  await guarded.declareTopics([{ name: 'notes', partitions: partitions.length, dedupWindowMs: 0 }])
  return guarded
}

/** What fails or is late is not repeated: the next attempt writes another one. */
async function writesAndReads(engine: Engine, partition: number): Promise<boolean> {
  const place = { topic: 'notes', partition }
  const records = [
    { id: randomUUID(), source: '/t', type: 't', time: 0, key: 'k', data: 1, attributes: undefined },
  ]
  const batch = { ...place, records, callOf: undefined, fresh: false }
  try {
    const written = await engine.append(
      { calls: 1, batches: [batch], failuresSeen: 0 },
      { durability: 'fsync' },
    )
    const offset = written.batches[0]!.firstOffset
    const { events } = await engine.read({ ...place, offset, maxEvents: 1, maxBytes: 1 << 20 })
    return events[0]?.id === records[0]!.id
  } catch {
    return false
  }
}

test('whichever broker falls silent, every partition is written and read before it is back (K1, U3)', async () => {
  // One of the three was the first that a client heard of, and it went on asking that one who leads.
  const engines = await Promise.all([opened('silent.', true), opened('silent-client.', false)])
  for (const broker of cluster.brokers) {
    await cluster.inSync()
    await broker.pause()
    const all = engines.flatMap((engine) => partitions.map((partition) => ({ engine, partition })))
    await Promise.all(
      all.map(({ engine, partition }) =>
        until(
          () => writesAndReads(engine, partition),
          30_000,
          `partition ${partition} without broker ${broker.id}`,
        ),
      ),
    )
    broker.resume()
  }
  await Promise.all(engines.map((engine) => engine.close()))
})
