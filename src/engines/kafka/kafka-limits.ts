const kib = 1024
const mib = 1024 * kib
const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** Bounds of the Kafka engine alone, beside `limits.ts`. */
export const kafkaLimits = {
  /** Kafka's own bound for the name of a topic. */
  topicNameCharsMax: 249,
  /** Largest record of a topic that Semel creates: an event of the largest size with all its attributes. */
  recordBytesMax: 4 * mib,
  queuedRecordsMax: 500_000,
  /** Records that are written as one batch, so whole or not at all: what every broker takes that was not told otherwise. */
  batchBytesMax: 1_000_000,
  /** Batches of several partitions that travel in one request, and one more. */
  produceBytesMax: 8 * mib,
  /** A broker says so when its replicas take longer than this: before it counts as silent. */
  replicasMs: 4 * second,
  /** How soon a batch is sent again that a broker refused for now. */
  produceRetryMs: 20,

  /**
   * A request that a broker leaves unanswered for so long is sent again, to whoever leads then. librdkafka's own minute
   * would be longer than any operation may take.
   */
  silentBrokerMs: 5 * second,
  reconnectMsMax: 1 * second,
  /** After so long a question for the end of a partition asks again who leads. */
  leadersKnownMs: 1 * second,
  /** How old the last look at a topic that is read may be: after so long its deletion is noticed. */
  topicSeenMs: 1 * second,
  /** Who says within this time of a deletion that the topic is there as before has not heard of it. */
  topicGoneMs: 3 * second,
  /**
   * The first wait for the end of a partition; each further one is twice as long, up to `silentBrokerMs`. And for so long one
   * broker is waited for alone where any of them may answer.
   */
  firstAnswerMs: 500,
  /** How often brokers of which none took connections are tried again. */
  reachPollMs: 100,
  /** A transactional producer closes connections that it does not use for so long, see `Clients.producer`; so does `Cluster`. */
  idleConnectionMs: 5 * second,
  /** Transactional calls wait in steps of this length, between which others get the thread. */
  transactionalStepMs: 500,
  operationMsDefault: 20 * second,
  operationMsMax: 10 * minute,
  transactionTimeoutMsMin: 5 * second,
  transactionTimeoutMsDefault: 30 * second,
  transactionTimeoutMsMax: 15 * minute,
  /** What a transaction waits for while the markers of the one before are written. */
  transactionRetryMs: 2,

  /** For how long a read waits for a transaction that is ending, before it answers without it. */
  settleMsMax: 1 * second,
  settlePollMs: 2,
  consumeMs: 10,
  /** Records are made into objects in the process's one thread: so many at a time, or everything else would wait. */
  consumeRecordsMax: 500,
  /** A read of no more records than this is not expected to go on. */
  spotRecordsMax: 8,
  spotPrefetchKib: 16,
  /** How long a broker holds a fetch without news, and so how soon a reader knows that it is at the end. */
  fetchWaitMs: 5,
  /** Consumers of one engine for reading on: one for each place where a partition is read, such as by several groups. */
  readersMax: 8,
  readerIdleMs: 1 * second,
  /** A cursor that nobody asked for so long no longer fetches ahead. */
  cursorIdleMs: 200,
  /** A cursor that nobody asked for so long gives up what it holds. */
  bufferIdleMs: 5 * second,
  readBufferBytesMax: 8 * mib,
  /** What all cursors of an engine hold: a small record takes about 1.2 KB. */
  fetchedBytesMax: 16 * mib,
  readBufferRecordsMax: 1_000,
  /** Of each consumer, in the client's own memory, and one answer of a broker on top of it. */
  prefetchKibMax: 512,
  /** Of each partition, and of all of them, in one answer. */
  fetchBytes: 256 * kib,
  answerBytes: 4 * mib,
  /** The same where we fetch ourselves: an answer stays in memory as long as one of its records. */
  directAnswerBytes: 1 * mib,
  /** What one batch of records may decompress to. */
  decompressedBytesMax: 128 * mib,
  /** So few offsets between the last record read and the end may hold no record at all. */
  holesPassedMax: 16,
  stalledReadMs: 2 * second,

  memberPollMs: 20,
  /** Handing a task over may take so many leases before the broker takes it away. */
  handoverLeases: 3,
  ownerRetryMs: 200,

  restoreRecords: 4_000,
  /** How often standby copies are brought up to date. */
  standbyPollMs: 250,
  /** A deleted key must be remembered for longer than a local copy is trusted without having been read on. */
  tombstoneMs: 7 * day,
  localCopyAgeMsMax: 3 * day,
} as const
