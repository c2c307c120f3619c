import type { EventRecord } from '../../event/event.ts'
import type { Consumer } from './client-types.ts'
import type { Delivery, OutgoingBatch } from './delivery.ts'
import type { MemberIdentity } from './group-questions.ts'

/** Records for one partition, in the form in which one way of writing takes them. */
export interface PreparedBatch {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly count: number
  /** It is written as a whole or not at all, also without a transaction. */
  readonly isWhole: boolean
}

/** A way to write units: by ourselves (`direct-producers.ts`), or with the client (`client-producers.ts`). */
export interface UnitProducers<B extends PreparedBatch = PreparedBatch> {
  prepare(topic: string, partition: number, records: readonly EventRecord[]): B
  /** Records of the log's own topics. */
  prepareBare(batch: OutgoingBatch): B
  /** Ends what is open under this id and fences whoever had it. */
  transactional(transactionalId: string): Promise<TransactionalProducer<B>>
}

/** A way to write whatever is published. It prepares records at once: the events' data is still their owner's. */
export interface Producers<B extends PreparedBatch = PreparedBatch> extends UnitProducers<B> {
  readonly plain: PlainProducer<B>
}

/** Idempotent: many batches are under way at once, and those of a partition are written in their order (P2). */
export interface PlainProducer<B> {
  /** Resolves when they are on their way, behind all that was sent before. */
  send(batches: readonly B[]): Promise<Delivery>
  /** When all that was sent has its answer. */
  close(): Promise<void>
}

export interface PartitionOffset {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** In whose name a transaction has offsets: the broker refuses a member that is none any more. */
export interface OffsetMember {
  /** Kafka's name. */
  readonly group: string
  /** The client's member of the group; FENCED if it has left. */
  consumer(): Consumer
  /**
   * The same, as the coordinator knows it, which is asked anew if it refused what it said before. `undefined`: it counts somebody
   * else as the owner, or nobody.
   */
  identity(refused: MemberIdentity | undefined): Promise<MemberIdentity | undefined>
}

/** One transaction at a time, of the calls in this order. After an error only `discard` is left. */
export interface TransactionalProducer<B> {
  begin(batches: readonly B[]): Promise<void>
  /** Where only `commit` tells that all got there, the delivery is over at once and has no offsets. */
  send(batches: readonly B[]): Delivery
  /** Once at most, and while records are on their way. */
  addOffsets(offsets: readonly PartitionOffset[], member: OffsetMember): Promise<void>
  /**
   * Answers whether every request of the transaction was surely sent once: if not, one of them may arrive in the middle of
   * the next transaction (KIP-890), and the producer must be discarded.
   */
  commit(): Promise<boolean>
  discard(): Promise<void>
  close(): Promise<void>
}
