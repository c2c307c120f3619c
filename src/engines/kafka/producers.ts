import type { EventRecord } from '../../event/event.ts'
import type { Delivery, OutgoingBatch } from './delivery.ts'

/** Records for one partition, in the form in which one way of writing takes them. */
export interface PreparedBatch {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly count: number
  /** It is written as a whole or not at all, also without a transaction. */
  readonly isWhole: boolean
}

/** A way to write records: by ourselves (`direct-producers.ts`), or with the client (`client-producers.ts`). */
export interface Producers<B extends PreparedBatch> {
  /** At once: the events' data is still their owner's. */
  prepare(topic: string, partition: number, records: readonly EventRecord[]): B
  /** Records of the log's own topics. */
  prepareBare(batch: OutgoingBatch): B
  readonly plain: PlainProducer<B>
  /** Ends what is open under this id and fences whoever had it. */
  transactional(transactionalId: string): Promise<TransactionalProducer<B>>
}

/** Idempotent: many batches are under way at once, and those of a partition are written in their order (P2). */
export interface PlainProducer<B> {
  /** Resolves when they are on their way, behind all that was sent before. */
  send(batches: readonly B[]): Promise<Delivery>
  /** When all that was sent has its answer. */
  close(): Promise<void>
}

/** One transaction at a time, of the calls in this order. After an error only `discard` is left. */
export interface TransactionalProducer<B> {
  begin(batches: readonly B[]): Promise<void>
  send(batches: readonly B[]): Delivery
  /**
   * Answers whether every request of the transaction was surely sent once: if not, one of them may arrive in the middle of
   * the next transaction (KIP-890), and the producer must be discarded.
   */
  commit(): Promise<boolean>
  discard(): Promise<void>
  close(): Promise<void>
}
