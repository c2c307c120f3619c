import type { EventRecord } from '../../event/event.ts'
import { sleep } from '../../platform/wait.ts'
import { BatchSender, type DirectBatch, recordTooLarge, type SenderParts } from './batch-sender.ts'
import { BrokerError } from './broker-error.ts'
import { liveBrokers } from './broker-questions.ts'
import type { Cluster } from './cluster.ts'
import { Coordinator } from './coordinator.ts'
import type { Delivery, OutgoingBatch } from './delivery.ts'
import type { ContentMode } from './encode-event.ts'
import { type BatchedRecords, batchBare, batcherOf } from './event-batches.ts'
import type { MemberIdentity } from './group-questions.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { KnownBrokers } from './known-brokers.ts'
import {
  addGroup,
  addPartitions,
  commitOffsets,
  commitTransaction,
  initProducer,
  type Transactor,
} from './producer-questions.ts'
import type {
  OffsetMember,
  PartitionOffset,
  PlainProducer,
  Producers,
  TransactionalProducer,
} from './producers.ts'

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

/** UNKNOWN_MEMBER_ID, and an epoch that is not the member's: nothing was written. */
const refusedMember: readonly number[] = [22, 25, 110, 113]
const unknownMember = 25

/**
 * OPEN -> BROKEN by a commit without an answer, or an answer that is no passing one. What it has begun is ended by the next
 * one that is opened under its id.
 */
class DirectTransactions implements TransactionalProducer<DirectBatch> {
  readonly #parts: DirectProducerParts
  readonly #transactor: Transactor
  readonly #transactions: Coordinator
  readonly #sender: BatchSender
  #group: Coordinator | undefined
  /** When all records have their answer. */
  #sent: Promise<void> | undefined

  private constructor(parts: DirectProducerParts, transactor: Transactor, transactions: Coordinator) {
    this.#parts = parts
    this.#transactor = transactor
    this.#transactions = transactions
    this.#sender = new BatchSender(parts, transactor.transactionalId, async () => transactor)
  }

  static async open(parts: DirectProducerParts, transactionalId: string): Promise<DirectTransactions> {
    const transactions = new Coordinator(parts, transactionalId, 'transaction')
    const { transactionTimeoutMs } = parts
    const identity = await transactions.ask(
      (ask) => initProducer(ask, transactionalId, transactionTimeoutMs),
      true,
    )
    // Asked for again, it would only have been asked for twice.
    transactions.losses = 0
    return new DirectTransactions(parts, { transactionalId, ...identity }, transactions)
  }

  async begin(batches: readonly DirectBatch[]): Promise<void> {
    if (batches.some(({ tooLarge }) => tooLarge.length > 0)) throw recordTooLarge()
    await this.#transactions.ask((ask) => addPartitions(ask, this.#transactor, batches), true)
  }

  send(batches: readonly DirectBatch[]): Delivery {
    const delivery = this.#sender.send(batches)
    this.#sent = delivery.done
    return delivery
  }

  /**
   * The offsets come behind the records. A broker asks the coordinator about either, one question for each transaction at a
   * time: the second one would make it refuse the first (KIP-890, 19 and 14).
   */
  async addOffsets(offsets: readonly PartitionOffset[], member: OffsetMember): Promise<void> {
    const { group } = member
    await this.#transactions.ask((ask) => addGroup(ask, this.#transactor, group), true)
    await this.#sent
    this.#group ??= new Coordinator(this.#parts, group, 'group')
    const { platform, operationMs } = this.#parts
    const until = platform.clock.monotonic() + operationMs
    for (let identity = await member.identity(undefined); ; ) {
      try {
        await this.#commitOffsets(offsets, group, identity)
        return
      } catch (error) {
        const isRefused = refusedMember.includes(clientCode(error) ?? 0)
        if (identity === undefined || !isRefused || platform.clock.monotonic() > until) throw error
        // Its epoch changes with each rebalance, also in the middle of a transaction.
        const refused: MemberIdentity = identity
        identity = await member.identity(refused)
        if (identity?.epoch === refused.epoch) await sleep(platform, kafkaLimits.memberPollMs)
      }
    }
  }

  async #commitOffsets(
    offsets: readonly PartitionOffset[],
    group: string,
    identity: MemberIdentity | undefined,
  ): Promise<void> {
    if (identity === undefined)
      throw new BrokerError(unknownMember, 'the group does not count this process as the owner')
    await this.#group!.ask((ask) => commitOffsets(ask, this.#transactor, group, identity, offsets), true)
  }

  async commit(): Promise<boolean> {
    await this.#transactions.ask((ask) => commitTransaction(ask, this.#transactor), false)
    return this.#transactions.losses + this.#sender.losses + (this.#group?.losses ?? 0) === 0
  }

  async discard(): Promise<void> {
    await this.close()
  }

  async close(): Promise<void> {
    this.#sender.close()
    this.#transactions.close()
    this.#group?.close()
  }
}
