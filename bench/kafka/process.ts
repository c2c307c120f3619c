import { channel } from 'node:diagnostics_channel'
import type { Message, Producer } from '../../src/engines/kafka/client-types.ts'
import type { Bus, Guarantee, Transaction } from '../../src/index.ts'
import { begin, call, commit, openTransactional, sendOffsets } from '../../test/rig/kafka/client.ts'
import { type BenchCase, type Figures, rate } from '../measure.ts'
import { pause, sumPerCustomer } from '../semel-programs.ts'
import { type Order, orders, publishBacklog } from '../workload.ts'
import {
  bootstrap,
  createTopics,
  eventHeaders,
  fill,
  type HeaderSource,
  inBothModes,
  inMode,
  openReader,
  prefix,
  readSome,
} from './by-hand.ts'
import { countWithStreams } from './streams.ts'

// Most of a second is what a program takes to get warm: not to be most of a run.
const count = 400_000
const readEvents = 1_000
const unitEvents = 5_000

const handle = async (order: Order): Promise<number> => order.total

export const processAtLeastOnce: BenchCase = {
  name: 'process-at-least-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: {},
  ratios: { 'plain consumer loop': 0.8, 'bare client, same records': 0 },
  programs: {
    ...inBothModes((bus) => processOn(bus, 'at-least-once', ({ data }) => handle(data))),
    'plain consumer loop': async (): Promise<Figures> => {
      await fill('orders', count)
      const consumer = await openReader('orders')
      const started = performance.now()
      for (let handled = 0; handled < count; ) {
        const messages = await readSome(consumer, readEvents)
        for (const { value } of messages) await handle(JSON.parse(value!.toString()))
        handled += messages.length
        if (messages.length > 0) consumer.commitCb(endsOf(messages), () => undefined)
      }
      return { eventsPerSecond: rate(count, started) }
    },
    'bare client, same records': async (): Promise<Figures> => {
      await fill('orders', count, eventHeaders('orders'))
      const consumer = await openReader('orders')
      const started = performance.now()
      for (let read = 0; read < count; ) read += (await readSome(consumer, readEvents)).length
      return { eventsPerSecond: rate(count, started) }
    },
  },
}

function endsOf(messages: readonly Message[]) {
  const ends = new Map(messages.map(({ partition, offset }) => [partition, offset + 1]))
  return [...ends].map(([partition, offset]) => ({ topic: messages[0]!.topic, partition, offset }))
}

/** Events in units that are committed: markers of transactions take offsets too, so the log's ends would say too much. */
function committedEvents(): { readonly events: number } {
  const seen = { events: 0 }
  channel('semel:commit').subscribe((message) => {
    // As `channels.commit` says.
    seen.events += (message as { readonly events: number }).events
  })
  return seen
}

/** From the first event on: joining a group is not in the other programs' figures either. Until the last unit is committed. */
async function processOn(
  bus: Bus,
  guarantee: Guarantee,
  handler: (event: { readonly data: Order }, tx: Transaction) => Promise<unknown>,
): Promise<Figures> {
  await publishBacklog(bus, count)
  const committed = committedEvents()
  let started = 0
  bus.consume(orders, { group: 'bench', guarantee }, async (event, tx) => {
    if (started === 0) started = performance.now()
    await handler(event, tx)
  })
  while (committed.events < count) await pause(5)
  return { eventsPerSecond: rate(count, started) }
}

type Emit = (producer: Producer, messages: readonly Message[]) => void

/** Reads, produces for each event, sends offsets, commits; meanwhile the next unit is read. */
async function transform(emit: Emit, headers?: HeaderSource): Promise<Figures> {
  await fill('orders', count, headers)
  await createTopics('totals')
  const consumer = await openReader('orders')
  const config = { 'linger.ms': 1, 'retry.backoff.ms': 2, 'queue.buffering.max.messages': 500_000 }
  const producer = await openTransactional(bootstrap(), `${prefix}transform`, { ...config, dr_cb: false })
  const started = performance.now()
  let next = readSome(consumer, unitEvents)
  for (let done = 0; done < count; ) {
    const messages = await next
    next = readSome(consumer, unitEvents)
    if (messages.length === 0) continue
    await begin(producer)
    emit(producer, messages)
    await sendOffsets(producer, consumer, endsOf(messages))
    await commit(producer)
    done += messages.length
  }
  const eventsPerSecond = rate(count, started)
  await next
  await call((done) => producer.flush(1_000, done))
  return { eventsPerSecond }
}

/** One event for each. No state. */
function emitAll(producer: Producer, messages: readonly Message[]): void {
  for (const { partition, value } of messages) {
    const { customer, total }: Order = JSON.parse(value!.toString())
    const output = Buffer.from(JSON.stringify({ customer, sum: total }))
    producer.produce(`${prefix}totals`, partition, output, customer)
  }
}

/** For each event the records that Semel writes: an event with its headers, and the state of its key. Nothing is computed. */
function emitSameRecords(): Emit {
  const headers = eventHeaders('totals')
  const output = Buffer.from(JSON.stringify({ customer: 'customer-000000', sum: 50 }))
  const state = Buffer.from('50')
  return (producer, messages) => {
    for (const { partition, key } of messages) {
      producer.produce(`${prefix}totals`, partition, output, key, null, undefined, headers())
      producer.produce(`${prefix}state`, partition, state, key)
    }
  }
}

async function transformSameRecords(): Promise<Figures> {
  await createTopics('state')
  return await transform(emitSameRecords(), eventHeaders('orders'))
}

export const processExactlyOnce: BenchCase = {
  name: 'process-exactly-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: {},
  ratios: {
    'plain transactions without state': 0.8,
    'bare client, same records': 0,
    'Kafka Streams, exactly_once_v2': 0,
    'semel, at least once': 0.75,
  },
  programs: {
    ...inBothModes((bus) => processOn(bus, 'exactly-once', sumPerCustomer)),
    // The same handler, so that nothing but the guarantee is compared.
    'semel, at least once': inMode('binary', (bus) => processOn(bus, 'at-least-once', sumPerCustomer)),
    'plain transactions without state': () => transform(emitAll),
    'bare client, same records': transformSameRecords,
    'Kafka Streams, exactly_once_v2': async (folder): Promise<Figures> => {
      const warmUp = count / 2
      await fill('orders', warmUp + count)
      await createTopics('totals')
      return await countWithStreams({ folder, warmUp, count })
    },
  },
}
