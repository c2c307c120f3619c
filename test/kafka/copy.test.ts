import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kafka } from '../../src/engines/kafka/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, copyTopic, openBus, topic } from '../../src/index.ts'
import { newFile } from '../inbox/inbox.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { readAll } from '../support/read-all.ts'

interface Item {
  readonly key: string
  readonly n: number
}

const items = topic<Item>('items', { partitions: 3, key: ({ key }) => key })
const inKafka = topic<Item>('items', { partitions: 3, dedup: false, key: ({ key }) => key })
const count = 12_000

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

async function publish(bus: Bus, from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += 2_000) {
    const events = Array.from({ length: Math.min(2_000, to - first) }, (_, i) => {
      const n = first + i
      return items.event({ key: `k${n % 40}`, n }, { id: `item-${n}` })
    })
    await bus.publishMany(events)
  }
}

/** All that a copy keeps; offsets are the target's own, since the markers of transactions take some. */
async function contentOf(bus: Bus): Promise<readonly unknown[][]> {
  const partitions: unknown[][] = [[], [], []]
  for (const { partition, offset: _, appendTime: __, ...content } of await readAll(bus, items))
    partitions[partition]!.push(content)
  return partitions
}

test('a topic is copied from SQLite to Kafka while events come, stopped and gone on with: each once, in order, compared (X2)', async () => {
  await using from = await openBus({ engine: sqlite({ file: newFile() }), topics: [items] })
  const engine = kafka({
    brokers: broker.bootstrap,
    prefix: 'copy.',
    client: rdkafka,
    acceptUnsafe: ['replication.factor'],
  })
  await using to = await openBus({ engine, topics: [inKafka] })
  await publish(from, 0, count)
  const stop = new AbortController()
  const reason = new Error('enough')
  const onProgress = ({ copied }: { copied: number }): void => {
    if (copied > 0) stop.abort(reason)
  }
  const later = publish(from, count, count + 1_000)
  await assert.rejects(copyTopic({ from, to, topic: items, signal: stop.signal, onProgress }), reason)
  await later
  const { verified } = await copyTopic({ from, to, topic: items })
  const truth = await contentOf(from)
  assert.deepEqual(
    verified!.map(({ events, others }) => [events, others]),
    truth.map((events) => [events.length, 0]),
  )
  for (const [partition, events] of (await contentOf(to)).entries()) {
    assert.equal(events.length, truth[partition]!.length)
    for (const [i, event] of events.entries()) assert.deepEqual(event, truth[partition]![i])
  }
})
