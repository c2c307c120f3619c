import type { Consumer, Headers, Message, Producer } from '../../src/engines/kafka/client-types.ts'
import { type ContentMode, kafka } from '../../src/engines/kafka/index.ts'
import { type Bus, openBus, topic } from '../../src/index.ts'
import {
  call,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openProducer,
  rdkafka,
} from '../../test/rig/kafka/client.ts'
import type { Figures, Program } from '../measure.ts'
import { orderOf, orders, totals } from '../workload.ts'

/** Address of the broker that `bench/main.ts` started. */
export const brokerVariable = 'SEMEL_BENCH_KAFKA'
export const partitions = 4

export function bootstrap(): string {
  const address = process.env[brokerVariable]
  if (address === undefined) throw new Error(`${brokerVariable} has the address of a broker`)
  return address
}

/** Each process has topics of its own. */
export const prefix = `bench-${process.pid}.`

/** Brokers do not deduplicate: the topics of the other engines without that. */
const topics = [orders, totals].map(({ name, partitions: count }) =>
  topic(name, { partitions: count, dedup: false }),
)

function openKafkaBus(contentMode: ContentMode): Promise<Bus> {
  const engine = kafka({
    brokers: bootstrap(),
    prefix,
    client: rdkafka,
    contentMode,
    acceptUnsafe: ['replication.factor'],
  })
  return openBus({ engine, topics })
}

/** The program as it is by default, and with events written as one JSON text each. */
type OnBus = (bus: Bus) => Promise<Figures>

export function inMode(mode: ContentMode, run: OnBus): Program {
  return async () => {
    await using bus = await openKafkaBus(mode)
    return await run(bus)
  }
}

export function inBothModes(run: OnBus): Readonly<Record<string, Program>> {
  return { semel: inMode('binary', run), 'semel, structured mode': inMode('structured', run) }
}

export async function createTopics(...names: readonly string[]): Promise<void> {
  const admin = openAdmin(bootstrap())
  for (const name of names) await createTopic(admin, `${prefix}${name}`, partitions)
  admin.disconnect()
}

/** Headers of the next event. */
export type HeaderSource = () => Headers

/** As many headers as an event of Semel has in binary mode, of the same length; all but the id are made once. */
export function eventHeaders(topicName: string): HeaderSource {
  const version = { ce_specversion: '1.0' }
  const source = { ce_source: '/semel' }
  const type = { ce_type: topicName }
  const time = { ce_time: new Date().toISOString() }
  const contentType = { 'content-type': 'application/json' }
  let ids = 0
  return () => {
    const id = `01993e5b-7a1c-7d2e-8f00-${String(ids++).padStart(12, '0')}`
    return [version, { ce_id: id }, source, type, time, contentType]
  }
}

/** Sends orders, and knows when all that were sent have been acknowledged. */
export class Sender {
  readonly #topic: string
  readonly #producer: Producer
  readonly #headers: HeaderSource | undefined
  #sent = 0
  #acknowledged = 0
  #waiting: { readonly count: number; readonly resolve: () => void }[] = []
  onAcknowledged: (() => void) | undefined

  private constructor(name: string, producer: Producer, headers: HeaderSource | undefined) {
    this.#topic = `${prefix}${name}`
    this.#producer = producer
    this.#headers = headers
    producer.on('delivery-report', (error: Error | null) => {
      if (error) throw error
      this.#acknowledged += 1
      this.onAcknowledged?.()
      while (this.#waiting[0] !== undefined && this.#waiting[0].count <= this.#acknowledged)
        this.#waiting.shift()!.resolve()
    })
  }

  static async open(name: string, headers?: HeaderSource): Promise<Sender> {
    const config = {
      'enable.idempotence': true,
      acks: 'all',
      'linger.ms': 1,
      'queue.buffering.max.messages': 500_000,
    }
    return new Sender(name, await openProducer(bootstrap(), config), headers)
  }

  send(n: number): void {
    const order = orderOf(n)
    const value = Buffer.from(JSON.stringify(order))
    this.#producer.produce(this.#topic, null, value, order.customer, null, undefined, this.#headers?.())
    this.#sent += 1
  }

  /** Resolves when everything sent so far is acknowledged. */
  acknowledged(): Promise<void> {
    const count = this.#sent
    if (this.#acknowledged >= count) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }

  async close(): Promise<void> {
    await disconnect(this.#producer)
  }
}

/** Fills a topic; not part of what is measured. */
export async function fill(name: string, count: number, headers?: HeaderSource): Promise<void> {
  await createTopics(name)
  const sender = await Sender.open(name, headers)
  for (let n = 0; n < count; n++) {
    sender.send(n)
    if (n % 10_000 === 9_999) await sender.acknowledged()
  }
  await sender.acknowledged()
  await sender.close()
}

export async function openReader(name: string): Promise<Consumer> {
  const consumer = await openConsumer(bootstrap(), `${prefix}reader`)
  const topicName = `${prefix}${name}`
  consumer.assign(
    Array.from({ length: partitions }, (_, partition) => ({ topic: topicName, partition, offset: 0 })),
  )
  return consumer
}

export const readSome = (consumer: Consumer, count: number): Promise<Message[]> =>
  call((done) => consumer.consume(count, done))
