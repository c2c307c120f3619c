import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  Admin,
  Client,
  ClientError,
  ClientModule,
  Config,
  Consumer,
  DeliveryReport,
  Done,
  Message,
  Producer,
  TopicDescription,
  TopicPartition,
  TopicPartitionOffset,
} from '../../../src/engines/kafka/client-types.ts'

const folder = join(import.meta.dirname, '../../../kafka')

/** The client from kafka/node_modules, where `npm run kafka:setup` puts it; nothing else resolves it from there. */
export function loadClient(): ClientModule {
  if (!existsSync(join(folder, 'node_modules')))
    throw new Error('no client in kafka/: run `npm run kafka:setup`')
  return createRequire(join(folder, 'package.json'))('@confluentinc/kafka-javascript')
}

export const rdkafka = loadClient()

/** A call with a callback at its end, as a promise. `call((done) => producer.flush(1_000, done))` */
export function call<T>(start: (done: Done<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)))
  })
}

export const connect = (client: Client) => call((done) => client.connect({ timeout: 10_000 }, done))
export const disconnect = (client: Client) => call((done) => client.disconnect(done))

export async function openProducer(bootstrap: string, config: Config = {}): Promise<Producer> {
  const base = { 'bootstrap.servers': bootstrap, partitioner: 'murmur2_random', dr_cb: true, 'linger.ms': 0 }
  const producer = new rdkafka.Producer({ ...base, ...config })
  await connect(producer)
  producer.setPollInBackground(true)
  return producer
}

export async function openTransactional(
  bootstrap: string,
  id: string,
  config: Config = {},
): Promise<Producer> {
  const producer = await openProducer(bootstrap, { 'transactional.id': id, ...config })
  await call((done) => producer.initTransactions(30_000, done))
  return producer
}

export async function openConsumer(bootstrap: string, group: string, config: Config = {}): Promise<Consumer> {
  const base = {
    'bootstrap.servers': bootstrap,
    'group.id': group,
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
    'auto.offset.reset': 'earliest',
    'isolation.level': 'read_committed',
  }
  const consumer = new rdkafka.KafkaConsumer({ ...base, ...config })
  await connect(consumer)
  consumer.setDefaultConsumeTimeout(50)
  consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
  return consumer
}

export const openAdmin = (bootstrap: string): Admin =>
  rdkafka.AdminClient.create({ 'bootstrap.servers': bootstrap })

/** Returns when the brokers know the topic, which is a little after the controller has answered that it exists. */
export async function createTopic(
  admin: Admin,
  topic: string,
  partitions: number,
  config: Readonly<Record<string, string>> = {},
): Promise<void> {
  const wanted = { topic, num_partitions: partitions, replication_factor: -1, config }
  await call((done) => admin.createTopic(wanted, 10_000, done))
  const isKnown = async () => {
    const [found] = await call<TopicDescription[]>((done) => admin.describeTopics([topic], {}, done))
    return found?.error === undefined && found?.partitions.every(({ leader }) => leader !== null)
  }
  while (!(await isKnown())) await sleep(10)
}

/** The steps of a transaction, as promises. */
export const begin = (producer: Producer) => call((done) => producer.beginTransaction(done))
export const commit = (producer: Producer, timeoutMs = 10_000) =>
  call((done) => producer.commitTransaction(timeoutMs, done))
export const abort = (producer: Producer, timeoutMs = 10_000) =>
  call((done) => producer.abortTransaction(timeoutMs, done))
export const sendOffsets = (
  producer: Producer,
  consumer: Consumer,
  offsets: readonly TopicPartitionOffset[],
) => call((done) => producer.sendOffsetsToTransaction(offsets, consumer, 10_000, done))

/** What a failed call says about itself; fails if the call succeeds. */
export async function errorOf(run: () => unknown): Promise<ClientError> {
  try {
    await run()
  } catch (error) {
    return error as ClientError
  }
  throw new Error('expected to fail, but succeeded')
}

export interface Member {
  readonly consumer: Consumer
  /** Every call of the rebalance callback, oldest first. */
  readonly rebalances: { readonly code: number; readonly partitions: number[]; readonly lost: boolean }[]
  /** While true, revoked partitions are kept in `held` and not given back. */
  hold: boolean
  readonly held: TopicPartition[]
  giveBack(): void
}

export type Protocol = 'consumer' | 'classic'

/** A cooperative member of a group whose rebalance callback is ours, as the engine's will be. */
export async function joinGroup(
  bootstrap: string,
  group: string,
  topic: string,
  protocol: Protocol,
): Promise<Member> {
  const classic = {
    'partition.assignment.strategy': 'cooperative-sticky',
    'session.timeout.ms': 1_500,
    'heartbeat.interval.ms': 300,
  }
  const consumer: Consumer = await openConsumer(bootstrap, group, {
    'group.protocol': protocol,
    ...(protocol === 'classic' && classic),
    rebalance_cb: (error: ClientError, partitions: TopicPartition[]) => onRebalance(error, partitions),
  })
  const member: Member = {
    consumer,
    rebalances: [],
    hold: false,
    held: [],
    giveBack() {
      consumer.incrementalUnassign(member.held.splice(0))
    },
  }
  const onRebalance = ({ code }: ClientError, partitions: TopicPartition[]) => {
    const numbers = partitions.map(({ partition }) => partition)
    member.rebalances.push({ code, partitions: numbers, lost: consumer.assignmentLost() })
    if (code !== assignPartitions && member.hold) return void member.held.push(...partitions)
    try {
      if (code === assignPartitions) consumer.incrementalAssign(partitions)
      else consumer.incrementalUnassign(partitions)
    } catch (error) {
      // The callback is queued, so it may come when the consumer is already closing. Thrown is a plain object.
      if ((error as ClientError).code !== wrongState) throw error
    }
  }
  consumer.subscribe([topic])
  return member
}

const wrongState = -172
export const assignPartitions = -175
export const revokePartitions = -174

export const assignedTo = ({ consumer }: Member) => consumer.assignments().map(({ partition }) => partition)

/** Rebalance callbacks only come while someone consumes: keeps all members consuming until the fact holds. */
export async function pollUntil(
  members: readonly Member[],
  fact: () => boolean,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!fact()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${fact}`)
    for (const { consumer } of members) await consumeSome(consumer, 1, 20)
  }
}

/** Produces all, waits for all reports, answers them in the order of the messages. */
export async function produceAll(
  producer: Producer,
  topic: string,
  messages: readonly { key?: string | Buffer | null; value: string; partition?: number }[],
): Promise<DeliveryReport[]> {
  const reports: DeliveryReport[] = []
  let left = messages.length
  await new Promise<void>((resolve, reject) => {
    const onReport = (error: Error | null, report: DeliveryReport) => {
      reports[report.opaque as number] = report
      if (!error && --left > 0) return
      producer.removeListener('delivery-report', onReport)
      if (error) reject(error)
      else resolve()
    }
    producer.on('delivery-report', onReport)
    for (const [index, { key, value, partition }] of messages.entries())
      producer.produce(topic, partition ?? null, Buffer.from(value), key ?? null, null, index)
  })
  return reports
}

/** Reads until `count` messages have come or the time is over. */
export async function consumeSome(consumer: Consumer, count: number, timeoutMs = 10_000): Promise<Message[]> {
  const messages: Message[] = []
  const deadline = performance.now() + timeoutMs
  while (messages.length < count && performance.now() < deadline)
    messages.push(...(await call<Message[]>((done) => consumer.consume(count - messages.length, done))))
  return messages
}
