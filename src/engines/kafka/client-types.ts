import type { EventEmitter } from 'node:events'

/**
 * The raw (librdkafka-like) half of `@confluentinc/kafka-javascript` 1.10.1, as far as Semel uses it. Own types, as the
 * client is optional and its own ones are wrong in places: `committed` and `offsetsForTimes` answer partitions with an
 * `error`, `incrementalAssign`, `incrementalUnassign`, `assignmentLost` and `rebalanceProtocol` are left out.
 */
export interface ClientModule {
  readonly Producer: new (config: Config, topicConfig?: Config) => Producer
  readonly KafkaConsumer: new (config: Config, topicConfig?: Config) => Consumer
  readonly AdminClient: {
    create(config: Config): Admin
    createFrom(client: Producer | Consumer): Admin
  }
  readonly CODES: { readonly ERRORS: Readonly<Record<string, number>> }
  readonly IsolationLevel: { readonly READ_UNCOMMITTED: 0; readonly READ_COMMITTED: 1 }
  readonly OffsetSpec: {
    new (timestamp: number): OffsetSpec
    readonly EARLIEST: OffsetSpec
    readonly LATEST: OffsetSpec
  }
  readonly librdkafkaVersion: string
  readonly features: readonly string[]
}

export type Config = Readonly<Record<string, unknown>>
export type Done<T = void> = (error: ClientError | null | undefined, result: T) => void

/** Flags are present, and may be true, only on errors of transactional calls and of rebalance calls. */
export interface ClientError extends Error {
  readonly code: number
  readonly origin: string
  readonly isFatal?: boolean
  readonly isRetriable?: boolean
  readonly isTxnRequiresAbort?: boolean
}

export interface Client extends EventEmitter {
  connect(options: { timeout?: number; topic?: string }, done: Done<Metadata>): this
  disconnect(done: Done<unknown>): this
  isConnected(): boolean
  getMetadata(options: { timeout?: number; topic?: string; allTopics?: boolean }, done: Done<Metadata>): void
  queryWatermarkOffsets(
    topic: string,
    partition: number,
    timeout: number,
    done: Done<{ lowOffset: number; highOffset: number }>,
  ): void
}

export interface Metadata {
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[]
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly id: number
      readonly leader: number
      readonly replicas: readonly number[]
      readonly isrs: readonly number[]
    }[]
  }[]
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly offset?: number
  readonly leaderEpoch?: number
  readonly metadata?: string
  readonly error?: ClientError
}
export type TopicPartitionOffset = TopicPartition & { readonly offset: number }

export type Headers = readonly Readonly<Record<string, string | Buffer>>[]

export interface Message {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly leaderEpoch?: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly size: number
  readonly timestamp: number
  readonly headers?: readonly Readonly<Record<string, Buffer>>[]
}

export interface DeliveryReport {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly size: number
  readonly key: Buffer | null
  readonly timestamp: number
  readonly opaque?: unknown
}

export interface Producer extends Client {
  disconnect(done: Done<unknown>): this
  disconnect(flushMs: number, done: Done<unknown>): this
  produce(
    topic: string,
    partition: number | null,
    value: Buffer | null,
    key?: Buffer | string | null,
    timestamp?: number | null,
    opaque?: unknown,
    headers?: Headers,
  ): void
  poll(): this
  setPollInterval(ms: number): this
  setPollInBackground(on: boolean): void
  flush(timeout: number, done: Done): this
  initTransactions(timeout: number, done: Done): void
  beginTransaction(done: Done): void
  commitTransaction(timeout: number, done: Done): void
  abortTransaction(timeout: number, done: Done): void
  sendOffsetsToTransaction(
    offsets: readonly TopicPartitionOffset[],
    consumer: Consumer,
    timeout: number,
    done: Done,
  ): void
}

export interface Consumer extends Client {
  subscribe(topics: readonly string[]): this
  unsubscribe(): this
  consume(count: number, done: Done<Message[]>): void
  setDefaultConsumeTimeout(ms: number): void
  setDefaultIsTimeoutOnlyForFirstMessage(on: boolean): void
  assign(partitions: readonly TopicPartition[]): this
  unassign(): this
  incrementalAssign(partitions: readonly TopicPartition[]): this
  incrementalUnassign(partitions: readonly TopicPartition[]): this
  assignments(): TopicPartition[]
  assignmentLost(): boolean
  rebalanceProtocol(): 'NONE' | 'EAGER' | 'COOPERATIVE'
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  seek(to: TopicPartitionOffset, timeout: number, done: Done): this
  position(partitions?: readonly TopicPartition[]): TopicPartition[]
  committed(partitions: readonly TopicPartition[], timeout: number, done: Done<TopicPartition[]>): this
  commitCb(offsets: readonly TopicPartitionOffset[], done: Done): this
  offsetsForTimes(times: readonly TopicPartitionOffset[], timeout: number, done: Done<TopicPartition[]>): void
  getWatermarkOffsets(topic: string, partition: number): { lowOffset: number; highOffset: number }
}

export interface OffsetSpec {
  readonly timestamp: number
}

export interface NewTopic {
  readonly topic: string
  readonly num_partitions: number
  readonly replication_factor: number
  readonly config?: Readonly<Record<string, string>>
}

export interface Admin {
  createTopic(topic: NewTopic, timeout: number, done: Done): void
  deleteTopic(topic: string, timeout: number, done: Done): void
  createPartitions(topic: string, total: number, timeout: number, done: Done): void
  listTopics(options: { timeout?: number }, done: Done<string[]>): void
  describeTopics(
    topics: readonly string[],
    options: { timeout?: number },
    done: Done<TopicDescription[]>,
  ): void
  listConsumerGroupOffsets(
    groups: readonly { groupId: string; partitions?: readonly TopicPartition[] }[],
    options: { timeout?: number; requireStableOffsets?: boolean },
    done: Done<{ groupId: string; error?: ClientError; partitions: TopicPartition[] }[]>,
  ): void
  listOffsets(
    partitions: readonly { topic: string; partition: number; offset: OffsetSpec }[],
    options: { timeout?: number; isolationLevel?: 0 | 1 },
    done: Done<
      { topic: string; partition: number; offset: number; timestamp: number; error?: ClientError }[]
    >,
  ): void
  deleteRecords(
    before: readonly TopicPartitionOffset[],
    options: { timeout?: number },
    done: Done<{ topic: string; partition: number; lowWatermark: number; error?: ClientError }[]>,
  ): void
  deleteGroups(groups: readonly string[], options: { timeout?: number }, done: Done<unknown>): void
  getMetadata(options: { timeout?: number; allTopics?: boolean }, done: Done<Metadata>): void
  disconnect(): void
}

export interface TopicDescription {
  readonly name: string
  readonly topicId: { readonly base64: string }
  readonly error?: ClientError
  readonly partitions: readonly {
    readonly partition: number
    readonly leader: { readonly id: number; readonly host: string; readonly port: number } | null
    readonly isr: readonly { readonly id: number }[]
    readonly replicas: readonly { readonly id: number }[]
  }[]
}
