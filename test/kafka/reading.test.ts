import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import type { ClientModule, Done, Message } from '../../src/engines/kafka/client-types.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

const events = 4_000

/** Records that the client has made into objects: what reading costs the process's one thread. */
let fetched = 0
class CountingConsumer extends rdkafka.KafkaConsumer {
  override consume(count: number, done: Done<Message[]>): void {
    super.consume(count, (error, messages) => {
      fetched += messages?.length ?? 0
      done(error, messages)
    })
  }
}
const client: ClientModule = { ...rdkafka, KafkaConsumer: CountingConsumer }

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
