import type { EventRecord } from '../../event/event.ts'
import { orLate, sleep } from '../../platform/wait.ts'
import { BatchSender, type DirectBatch, lateError, recordTooLarge, type SenderParts } from './batch-sender.ts'
import { BrokerConnection } from './broker-connection.ts'
import { type Ask, liveBrokers } from './broker-questions.ts'
import type { Cluster } from './cluster.ts'
import type { Delivery, OutgoingBatch } from './delivery.ts'
import type { ContentMode } from './encode-event.ts'
import { type BatchedRecords, batchBare, batcherOf } from './event-batches.ts'
import { coordinatorOf } from './group-questions.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { KnownBrokers } from './known-brokers.ts'
import { addPartitions, commitTransaction, initProducer, type Transactor } from './producer-questions.ts'
import type { PlainProducer, Producers, TransactionalProducer } from './producers.ts'

export interface DirectProducerParts extends SenderParts {
  readonly cluster: Cluster
  readonly known: KnownBrokers
  readonly transactionTimeoutMs: number
  readonly contentMode: ContentMode
}

/**
 * Writes in Kafka's own protocol. The client makes an object of each header and a report of each record, which costs several
 * times what writing a broker's bytes does.
 */
export class DirectProducers implements Producers<DirectBatch> {
  readonly plain: PlainProducer<DirectBatch>
  readonly #parts: DirectProducerParts
  readonly #batch: (records: readonly EventRecord[], now: number) => BatchedRecords

  constructor(parts: DirectProducerParts) {
    this.#parts = parts
    this.#batch = batcherOf(parts.contentMode)
    this.plain = new DirectPlain(parts)
  }

  prepare(topic: string, partition: number, records: readonly EventRecord[]): DirectBatch {
    const batched = this.#batch(records, this.#parts.platform.clock.now())
    return preparedOf(topic, partition, records.length, batched)
  }

  prepareBare({ topic, partition, records }: OutgoingBatch): DirectBatch {
    const batched = batchBare(records, this.#parts.platform.clock.now())
    return preparedOf(topic, partition, records.length, batched)
  }

  async transactional(transactionalId: string): Promise<TransactionalProducer<DirectBatch>> {
    try {
      return await DirectTransactions.open(this.#parts, transactionalId)
    } catch (error) {
      throw translated(error, 'opening a producer', 'not-applied')
    }
  }
}

function preparedOf(
  topic: string,
  partition: number,
  count: number,
  { batches, tooLarge }: BatchedRecords,
): DirectBatch {
  const isWhole = batches.length === 1 && tooLarge.length === 0
  return { topic, partition, count, isWhole, batches, tooLarge }
}

class DirectPlain implements PlainProducer<DirectBatch> {
  readonly #sender: BatchSender
  readonly #underWay = new Set<Promise<void>>()

  constructor(parts: DirectProducerParts) {
    const { cluster, known, transactionTimeoutMs } = parts
    this.#sender = new BatchSender(parts, undefined, () =>
      cluster.withAny(async (ask) => {
        known.learn({ brokers: await liveBrokers(ask) })
        return await initProducer(ask, undefined, transactionTimeoutMs)
      }),
    )
  }

  async send(batches: readonly DirectBatch[]): Promise<Delivery> {
    const delivery = this.#sender.send(batches)
    const underWay = delivery.done.then(() => {
      this.#underWay.delete(underWay)
    })
    this.#underWay.add(underWay)
    return delivery
  }

  async close(): Promise<void> {
    await Promise.all(this.#underWay)
    this.#sender.close()
  }
}

/** The coordinator is loading, not there, or another one by now; or it still ends the transaction before. */
const passing: readonly number[] = [14, 15, 16, 51]
const elsewhere: readonly number[] = [15, 16]
/** No connection, no answer in time. */
const unanswered: readonly number[] = [-195, -185]
const unknownTopic = 3

/**
 * OPEN -> BROKEN by a commit without an answer, or an answer that is no passing one. What it has begun is ended by the next
 * one that is opened under its id.
 */
class DirectTransactions implements TransactionalProducer<DirectBatch> {
  readonly #parts: DirectProducerParts
  readonly #id: string
  #transactor!: Transactor
  #sender!: BatchSender
  #coordinator: BrokerConnection | undefined
  /** How often an answer of the coordinator was lost. */
  #losses = 0

  private constructor(parts: DirectProducerParts, id: string) {
    this.#parts = parts
    this.#id = id
  }

  static async open(parts: DirectProducerParts, id: string): Promise<DirectTransactions> {
    const transactions = new DirectTransactions(parts, id)
    const { transactionTimeoutMs } = parts
    const identity = await transactions.#ask((ask) => initProducer(ask, id, transactionTimeoutMs), true)
    transactions.#transactor = { transactionalId: id, ...identity }
    transactions.#sender = new BatchSender(parts, id, async () => identity)
    // Asked for again, it would only have been asked for twice.
    transactions.#losses = 0
    return transactions
  }

  async begin(batches: readonly DirectBatch[]): Promise<void> {
    if (batches.some(({ tooLarge }) => tooLarge.length > 0)) throw recordTooLarge()
    await this.#ask((ask) => addPartitions(ask, this.#transactor, batches), true)
  }

  send(batches: readonly DirectBatch[]): Delivery {
    return this.#sender.send(batches)
  }

  async commit(): Promise<boolean> {
    await this.#ask((ask) => commitTransaction(ask, this.#transactor), false)
    return this.#losses + this.#sender.losses === 0
  }

  async discard(): Promise<void> {
    await this.close()
  }

  async close(): Promise<void> {
    this.#sender.close()
    this.#coordinator?.close()
  }

  /** Asks the coordinator, whichever broker that is by now. `mayRepeat`: also after a lost answer, as twice is the same as once. */
  async #ask<T>(question: (ask: Ask) => Promise<T>, mayRepeat: boolean): Promise<T> {
    const { platform, operationMs } = this.#parts
    const began = platform.clock.monotonic()
    const leftMs = () => began + operationMs - platform.clock.monotonic()
    for (;;) {
      const connection = await this.#connected(leftMs)
      const patienceMs = Math.max(1, Math.min(kafkaLimits.silentBrokerMs, leftMs()))
      try {
        return await question((request) => connection.ask(request, patienceMs))
      } catch (error) {
        const code = clientCode(error) ?? 0
        const isLost = code < 0
        if (isLost) this.#losses += 1
        if (isLost || elsewhere.includes(code)) this.#forget()
        // A coordinator may hear of a new topic a moment after others did.
        const isNew = code === unknownTopic && leftMs() > operationMs - kafkaLimits.topicGoneMs
        const mayPass = passing.includes(code) || isNew || (isLost && mayRepeat)
        if (!mayPass || leftMs() <= 0) throw error
      }
      await sleep(platform, kafkaLimits.transactionRetryMs)
    }
  }

  async #connected(leftMs: () => number): Promise<BrokerConnection> {
    const { access, cluster, platform } = this.#parts
    for (;;) {
      if (this.#coordinator !== undefined && !this.#coordinator.hasFailed) return this.#coordinator
      try {
        const finding = cluster.withAny((ask) => coordinatorOf(ask, this.#id, 'transaction'))
        const place = await orLate(platform, finding, Math.max(1, leftMs()), lateError)
        this.#coordinator = await BrokerConnection.open(platform, place, access, kafkaLimits.silentBrokerMs)
        return this.#coordinator
      } catch (error) {
        const code = clientCode(error) ?? 0
        if (!(passing.includes(code) || unanswered.includes(code)) || leftMs() <= 0) throw error
      }
      await sleep(platform, kafkaLimits.produceRetryMs)
    }
  }

  #forget(): void {
    this.#coordinator?.close()
    this.#coordinator = undefined
  }
}
