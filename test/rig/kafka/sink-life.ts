// One consumer between two engines, to be killed. `fork` it with bootstrap, prefix and the sink: the path of a file or
// an address. It reads payments in Kafka and books them in the sink. Says `joined`.

import type { Engine } from '../../../src/engine/engine.ts'
import { kafka } from '../../../src/engines/kafka/index.ts'
import { postgres } from '../../../src/engines/postgres/index.ts'
import { sqlite } from '../../../src/engines/sqlite/index.ts'
import { type Bus, type Consumer, openBus, topic } from '../../../src/index.ts'
import { book, booked, bookInSqlite, type Payment } from '../../inbox/topics.ts'
import { rdkafka } from './client.ts'

/** As in `test/inbox`, without what Kafka's brokers do not have. */
export const payments = topic<Payment>('payments', {
  partitions: 3,
  dedup: false,
  key: ({ account }) => account,
})

export function openSource(bootstrap: string, prefix: string): Promise<Bus> {
  const engine = kafka({
    brokers: bootstrap,
    prefix,
    client: rdkafka,
    acceptUnsafe: ['replication.factor'],
  })
  return openBus({ engine, topics: [payments] })
}

const isAddress = (place: string): boolean => place.startsWith('postgres')

function sinkEngine(place: string): Engine {
  return isAddress(place) ? postgres({ url: place }) : sqlite({ file: place })
}

/** Joins the group that books what is in Kafka in this sink. */
export async function startBooking(source: Bus, sink: Bus, place: string): Promise<Consumer> {
  const handler = isAddress(place) ? book : bookInSqlite
  const consumer = source.consume(payments, { group: 'books', sink, leaseMs: 400 }, handler)
  await consumer.ready()
  return consumer
}

export function openSink(place: string): Promise<Bus> {
  return openBus({ engine: sinkEngine(place), topics: [booked] })
}

if (process.send !== undefined) {
  const [bootstrap, prefix, place] = process.argv.slice(2) as [string, string, string]
  const source = await openSource(bootstrap, prefix)
  await startBooking(source, await openSink(place), place)
  process.send('joined')
}
