// What the plain client does on this machine, without Semel: the yardstick for the Kafka engine.
// `node test/rig/kafka/throughput.ts [seconds for each measurement, 2] [rounds, 3]`
import { cpus, loadavg } from 'node:os'
import type { Admin, Config, Consumer, Message, Producer } from '../../../src/engines/kafka/client-types.ts'
import { type Kafka, startKafka } from './broker.ts'
import {
  call,
  createTopic,
  disconnect,
  openAdmin,
  openConsumer,
  openProducer,
  openTransactional,
  rdkafka,
} from './client.ts'

const [seconds = 2, rounds = 3] = process.argv.slice(2).map(Number)
const value = Buffer.alloc(200, 'x')
const keys = Array.from({ length: 10_000 }, (_, index) => Buffer.from(`key-${index}`))
const partitions = 4

interface Figure {
  readonly perSecond: number
  /** Of this process, librdkafka's threads with it; the broker's is not in it. Steadier than the rate. */
  readonly cpuMicrosEach: number
}

/** Runs `step`, which answers how many events it did, again and again for the given time. */
async function measure(step: () => Promise<number>): Promise<Figure> {
  let events = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  while (performance.now() - start < seconds * 1_000) events += await step()
  const took = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: (events / took) * 1_000, cpuMicrosEach: (user + system) / events }
}

async function report(name: string, run: () => Promise<Figure>): Promise<void> {
  const figures: Figure[] = []
  for (let round = 0; round < rounds; round++) figures.push(await run())
  const rates = figures.map((figure) => figure.perSecond).sort((a, b) => a - b)
  const middle = rates[Math.floor(rates.length / 2)]!
  const cost = Math.min(...figures.map((figure) => figure.cpuMicrosEach))
  const spread = `${rates[0]!.toFixed(0)}–${rates.at(-1)!.toFixed(0)}`
  console.log(
    `${name.padEnd(58)} ${middle.toFixed(0).padStart(8)}/s  (${spread})  ${cost.toFixed(1)} µs CPU each`,
  )
}

/** Resolves when `count` more delivery reports have come. */
class Reports {
  #left = 0
  #done: (() => void) | undefined

  constructor(producer: Producer) {
    producer.on('delivery-report', (error: Error | null) => {
      if (error) throw error
      if (--this.#left === 0) this.#done?.()
    })
  }
  wait(count: number): Promise<void> {
    this.#left += count
    return new Promise((resolve) => {
      this.#done = resolve
    })
  }
}

const produceCall = (producer: Producer, reports: Reports, topic: string, count: number) => {
  const done = reports.wait(count)
  for (let index = 0; index < count; index++) produceOne(producer, topic, index)
  return done.then(() => count)
}

const produceOne = (producer: Producer, topic: string, index: number) =>
  producer.produce(topic, index % partitions, value, keys[index % keys.length]!, null, index)

async function publishCalls(kafka: Kafka, config: Config): Promise<Figure> {
  const producer = await openProducer(kafka.bootstrap, {
    'enable.idempotence': true,
    'linger.ms': 1,
    ...config,
  })
  const reports = new Reports(producer)
  await produceCall(producer, reports, 'calls', 1_000)
  const figure = await measure(() => produceCall(producer, reports, 'calls', 1_000))
  await disconnect(producer)
  return figure
}

/** 256 callers, each producing its next event when its last one is reported. */
async function publishConcurrently(kafka: Kafka, lingerMs: number): Promise<Figure> {
  const config = { 'enable.idempotence': true, 'linger.ms': lingerMs }
  const producer = await openProducer(kafka.bootstrap, config)
  let reported = 0
  let running = true
  producer.on('delivery-report', (error: Error | null, { opaque }: { opaque: number }) => {
    if (error) throw error
    reported++
    if (running) produceOne(producer, 'calls', opaque)
  })
  for (let index = 0; index < 256; index++) produceOne(producer, 'calls', index)
  let seen = 0
  const figure = await measure(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    const news = reported - seen
    seen = reported
    return news
  })
  running = false
  await call((done) => producer.flush(5_000, done))
  await disconnect(producer)
  return figure
}

async function fill(kafka: Kafka, topic: string, count: number): Promise<void> {
  const producer = await openProducer(kafka.bootstrap, { 'enable.idempotence': true, 'linger.ms': 5 })
  const reports = new Reports(producer)
  for (let done = 0; done < count; done += 10_000) await produceCall(producer, reports, topic, 10_000)
  await disconnect(producer)
}

async function openReader(kafka: Kafka, config: Config = {}): Promise<Consumer> {
  const consumer = await openConsumer(kafka.bootstrap, 'bench', config)
  rewind(consumer)
  return consumer
}

const rewind = (consumer: Consumer) =>
  consumer.assign(
    Array.from({ length: partitions }, (_, partition) => ({ topic: 'filled', partition, offset: 0 })),
  )

/** Goes round: at the end of what is there, it starts over. */
async function consumeNext(consumer: Consumer, count: number): Promise<Message[]> {
  const messages = await call<Message[]>((done) => consumer.consume(count, done))
  if (messages.length === 0) rewind(consumer)
  return messages
}

async function consumeLoop(kafka: Kafka, count: number): Promise<Figure> {
  const consumer = await openReader(kafka)
  await consumeNext(consumer, count)
  const figure = await measure(async () => (await consumeNext(consumer, count)).length)
  await disconnect(consumer)
  return figure
}

/** Each unit: read, produce one event for each, offsets, commit; meanwhile the next is read. */
async function transform(
  kafka: Kafka,
  unit: number,
  options: { retryMs: number; reports?: boolean },
): Promise<Figure> {
  const consumer = await openReader(kafka)
  const config = { 'linger.ms': 1, 'retry.backoff.ms': options.retryMs, dr_cb: options.reports !== false }
  const producer = await openTransactional(kafka.bootstrap, `bench-${unit}`, config)
  const reports = options.reports === false ? undefined : new Reports(producer)
  let next = consumeNext(consumer, unit)
  const step = async () => {
    const messages = await next
    next = consumeNext(consumer, unit)
    if (messages.length === 0) return 0
    await call((done) => producer.beginTransaction(done))
    const done = reports?.wait(messages.length)
    for (const { partition, value, key } of messages) producer.produce('calls', partition, value, key)
    const ends = new Map(messages.map(({ partition, offset }) => [partition, offset + 1]))
    const offsets = [...ends].map(([partition, offset]) => ({ topic: 'filled', partition, offset }))
    await call((done) => producer.sendOffsetsToTransaction(offsets, consumer, 10_000, done))
    await call((done) => producer.commitTransaction(10_000, done))
    await done
    return messages.length
  }
  await step()
  const figure = await measure(step)
  await next
  await disconnect(producer)
  await disconnect(consumer)
  return figure
}

/** The KafkaJS-like half of the same client: its promises and its per-message objects are what differs. */
async function kafkaJsCalls(kafka: Kafka): Promise<Figure> {
  const { KafkaJS } = rdkafka as unknown as { KafkaJS: { Kafka: new (config: object) => KafkaJsClient } }
  const level = { error() {}, warn() {}, info() {}, debug() {}, setLogLevel() {}, namespace: () => level }
  const client = new KafkaJS.Kafka({ kafkaJS: { brokers: kafka.bootstrap.split(','), logger: level } })
  const producer = client.producer({ 'enable.idempotence': true, 'linger.ms': 1 })
  await producer.connect()
  const messages = keys.slice(0, 1_000).map((key, index) => ({ key, value, partition: index % partitions }))
  const figure = await measure(async () => {
    await producer.send({ topic: 'calls', messages })
    return messages.length
  })
  await producer.disconnect()
  return figure
}

interface KafkaJsClient {
  producer(config: object): {
    connect(): Promise<void>
    disconnect(): Promise<void>
    send(records: { topic: string; messages: readonly object[] }): Promise<unknown>
  }
}

async function createTopics(admin: Admin): Promise<void> {
  for (const topic of ['calls', 'filled']) await createTopic(admin, topic, partitions)
}

async function main(): Promise<void> {
  const load = loadavg().map((part) => part.toFixed(1))
  const machine = `${cpus().length} × ${cpus()[0]!.model}, load ${load.join(' ')}, Node ${process.version}`
  console.log(`${machine}, librdkafka ${rdkafka.librdkafkaVersion}; ${rounds} rounds of ${seconds} s`)
  await using kafka = await startKafka({ brokers: 1 })
  const admin = openAdmin(kafka.bootstrap)
  await createTopics(admin)
  await publishCalls(kafka, {}) // so that the broker's JVM is warm when the first figure is taken
  await report('produce, calls of 1,000', () => publishCalls(kafka, {}))
  await report('produce, calls of 1,000, lz4', () => publishCalls(kafka, { 'compression.codec': 'lz4' }))
  await report('produce, calls of 1,000, KafkaJS-like API', () => kafkaJsCalls(kafka))
  for (const linger of [0, 1]) {
    const name = `produce, 256 single ones in flight, linger ${linger} ms`
    await report(name, () => publishConcurrently(kafka, linger))
  }
  await fill(kafka, 'filled', 200_000)
  for (const count of [100, 1_000, 5_000])
    await report(`consume(${count}) in a loop`, () => consumeLoop(kafka, count))
  for (const unit of [1_000, 5_000]) {
    for (const retryMs of [100, 5]) {
      const name = `consume, produce, commit; units ≤ ${unit}, retry.backoff ${retryMs} ms`
      await report(name, () => transform(kafka, unit, { retryMs }))
    }
  }
  const bare = 'consume, produce, commit; units ≤ 5000, no delivery reports'
  await report(bare, () => transform(kafka, 5_000, { retryMs: 5, reports: false }))
  admin.disconnect()
}

await main()
