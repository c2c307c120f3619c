import type { PartitionBounds, ReadRequest, ReadResult, TopicSpec } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { blockingCall, type Clients } from './client.ts'
import type { Consumer, TopicPartition } from './client-types.ts'
import { decodeEvents } from './event-message.ts'
import { translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { LogEnds } from './log-ends.ts'
import type { PartitionReader } from './partition-reader.ts'
import type { Registry } from './registry.ts'
import type { Safety } from './safety.ts'
import type { KafkaTopic, TopicTable } from './topic-table.ts'

/** The parts of an open engine, each made once. */
export interface LogParts {
  readonly clients: Clients
  readonly names: KafkaNames
  readonly topics: TopicTable
  readonly ends: LogEnds
  readonly reader: PartitionReader
  readonly registry: Registry
  readonly safety: Safety
}

const eventTopicSettings = {
  'message.timestamp.type': 'LogAppendTime',
  'max.message.bytes': String(kafkaLimits.recordBytesMax),
}

/** Topics and reading: what is asked of the log apart from groups. */
export class KafkaLog {
  readonly #parts: LogParts
  readonly #declared = new Map<string, KafkaTopic>()
  readonly #recreated = new Set<string>()
  /** Until when a topic that was not there is taken for gone. */
  readonly #goneUntil = new Map<string, number>()
  #timesConsumer: Promise<Consumer> | undefined

  constructor(parts: LogParts) {
    this.#parts = parts
  }

  /** All are checked before the first is created. */
  async declareTopics(specs: readonly TopicSpec[]): Promise<void> {
    const { topics, names, registry, safety } = this.#parts
    const registered = new Map((await registry.entries()).map((entry) => [entry.topic, entry]))
    for (const spec of specs) {
      refuseDedup(spec)
      const found = await topics.find(names.topic(spec.name))
      if (found !== undefined) await this.#checkFound(spec, found)
      const known = registered.get(spec.name)
      if (known?.kind === 'topic' && known.id !== found?.id) throw recreated(spec.name, found)
    }
    for (const { name, partitions } of specs) {
      const settings = { ...eventTopicSettings, ...safety.topicSettings }
      const topic = await topics.ensure(names.topic(name), partitions, settings)
      await this.#checkFound({ name, partitions }, topic)
      await registry.put([{ kind: 'topic', topic: name, partitions: topic.partitions, id: topic.id }])
      this.#declared.set(name, topic)
    }
  }

  async #checkFound(
    { name, partitions }: Pick<TopicSpec, 'name' | 'partitions'>,
    found: KafkaTopic,
  ): Promise<void> {
    if (found.partitions !== partitions) throw otherCount(name, found, partitions)
    await this.#parts.safety.checkTopic(found)
  }

  async read({ topic, partition, offset, maxEvents, maxBytes }: ReadRequest): Promise<ReadResult> {
    const place = await this.#place(topic, partition)
    const { records, bytes, next, end, fetchedAt, topicId } = await this.#parts.reader.read({
      topic: place.name,
      partition,
      offset,
      recordsMax: maxEvents,
      bytesMax: maxBytes,
    })
    // They are of the topic that was declared, not of one that was made anew (D6): by its id, or asked after they were fetched.
    if (records.length > 0 && topicId !== place.id)
      this.#requireDeclared(topic, await this.#parts.topics.confirm(place.name, fetchedAt))
    return { ...decodeEvents(records, { topic, partition }), bytes, next, end }
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    const { name, partitions } = await this.#topic(topic)
    const { ends } = this.#parts
    return await Promise.all(
      Array.from({ length: partitions }, async (_, partition) => {
        const [earliest, end] = await Promise.all([ends.earliest(name, partition), ends.end(name, partition)])
        return { earliest, end }
      }),
    )
  }

  /** Kafka may answer with the place of a marker: the first event from there on is what was asked for. */
  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    const { name } = await this.#place(topic, partition)
    const { earliest, end } = (await this.bounds(topic))[partition]!
    const found = await this.#offsetForTime(name, partition, Math.max(0, Math.ceil(time)))
    const from = found < 0 ? end : Math.max(found, earliest)
    return from >= end ? end : ((await this.firstFrom(name, partition, from))?.offset ?? end)
  }

  /** First committed record at or after an offset of a Kafka topic; `undefined` if there is none. */
  async firstFrom(
    name: string,
    partition: number,
    offset: number,
  ): Promise<{ readonly offset: number; readonly timestamp: number } | undefined> {
    for (let from = offset; ; ) {
      const range = { topic: name, partition, offset: from, recordsMax: 1, bytesMax: 1 }
      const { records, next, end } = await this.#parts.reader.read(range)
      if (records[0] !== undefined) return records[0]
      if (next >= end) return undefined
      from = next
    }
  }

  /** The last committed record of a Kafka topic's partition. Markers may take the last offsets, so it is looked for backwards. */
  async lastBefore(
    name: string,
    partition: number,
    earliest: number,
    end: number,
  ): Promise<{ readonly timestamp: number } | undefined> {
    for (let back = 2, until = end; until > earliest; back *= 4) {
      const from = Math.max(earliest, end - back)
      let last: { readonly timestamp: number } | undefined
      for (let offset = from; offset < until; ) {
        const range = {
          topic: name,
          partition,
          offset,
          recordsMax: back,
          bytesMax: kafkaLimits.readBufferBytesMax,
        }
        const { records, next } = await this.#parts.reader.read(range)
        last = records.at(-1) ?? last
        if (next <= offset) break
        offset = next
      }
      if (last !== undefined) return last
      until = from
    }
    return undefined
  }

  async close(): Promise<void> {
    const consumer = await this.#timesConsumer?.catch(() => undefined)
    if (consumer !== undefined) await this.#parts.clients.disconnect(consumer)
  }

  async #offsetForTime(topic: string, partition: number, time: number): Promise<number> {
    const { clients, names } = this.#parts
    this.#timesConsumer ??= clients.consumer({ 'group.id': names.group('semel.reader') })
    const consumer = await this.#timesConsumer
    const ask = [{ topic, partition, offset: time }]
    try {
      const [answer] = await blockingCall<TopicPartition[]>((done) => {
        consumer.offsetsForTimes(ask, clients.operationMs, done)
      })
      if (answer?.error) throw answer.error
      return answer?.offset ?? -1
    } catch (error) {
      throw translated(error, `looking for a time in ${topic}/${partition}`, 'not-applied')
    }
  }

  /** LOG_REGRESSED and TOPIC_CONTRADICTION if it is no longer what was declared; where nothing comes, noticed within `topicSeenMs`. */
  async #topic(topic: string): Promise<KafkaTopic> {
    const { names, topics } = this.#parts
    topics.refresh(names.topic(topic))
    return this.#requireDeclared(topic, await topics.find(names.topic(topic)))
  }

  /**
   * Ids never come back. Of a topic that is gone, a broker that has not heard of it may say for a moment that it is as
   * before.
   */
  #requireDeclared(topic: string, found: KafkaTopic | undefined): KafkaTopic {
    const declared = this.#declared.get(topic)
    if (declared === undefined) {
      if (found !== undefined) return found
      throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(topic)}`)
    }
    const now = this.#parts.clients.platform.clock.monotonic()
    if (found === undefined) this.#goneUntil.set(topic, now + kafkaLimits.topicGoneMs)
    else if (found.id !== declared.id) this.#recreated.add(topic)
    const isGone = now < (this.#goneUntil.get(topic) ?? 0)
    if (found === undefined || isGone || this.#recreated.has(topic)) throw recreated(topic, found)
    if (found.partitions !== declared.partitions) throw otherCount(topic, found, declared.partitions)
    return found
  }

  async #place(topic: string, partition: number): Promise<KafkaTopic> {
    const found = await this.#topic(topic)
    if (partition < found.partitions) return found
    throw new SemelError('UNKNOWN_TOPIC', `topic ${topic} has no partition ${partition}`)
  }
}

function refuseDedup({ name, dedupWindowMs }: TopicSpec): void {
  if (dedupWindowMs === 0) return
  throw new SemelError(
    'UNSUPPORTED',
    `topic ${name} asks for deduplication at publishing, which Kafka's brokers do not have (N7)`,
    {
      field: 'dedup',
      hint: 'declare the topic with dedup: false, and consume with inbox: { windowMs }',
    },
  )
}

function otherCount(name: string, found: KafkaTopic, wanted: number): SemelError {
  return new SemelError(
    'TOPIC_CONTRADICTION',
    `topic ${name} has ${found.partitions} partitions, not ${wanted}`,
    { hint: 'keys have moved between partitions (P4): let groups reach the end, then declare the new count' },
  )
}

function recreated(name: string, found: KafkaTopic | undefined): SemelError {
  const what = found === undefined ? 'is gone' : 'was deleted, or deleted and created again'
  return new SemelError('LOG_REGRESSED', `topic ${name} ${what}: groups hold positions of the old one (D6)`, {
    hint: 'give the new log a prefix of its own, or restore the topic',
  })
}
