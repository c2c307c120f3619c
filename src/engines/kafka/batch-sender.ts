import { type Outcome, SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { orLate, sleep } from '../../platform/wait.ts'
import { sequenceAfter, sign } from './batch-writer.ts'
import type { BrokerAccess } from './broker-access.ts'
import { BrokerConnection } from './broker-connection.ts'
import { BrokerError } from './broker-error.ts'
import { lateError } from './coordinator.ts'
import { Delivery } from './delivery.ts'
import type { BatchedRecords, PartBatch } from './event-batches.ts'
import { clientCode } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { Place } from './known-brokers.ts'
import { type ProducedPart, produce } from './produce-question.ts'
import type { ProducerIdentity } from './producer-questions.ts'
import type { PreparedBatch } from './producers.ts'
import type { TopicTable } from './topic-table.ts'

export interface DirectBatch extends PreparedBatch, BatchedRecords {}

export interface SenderParts {
  readonly platform: Platform
  readonly topics: TopicTable
  readonly access: BrokerAccess
  /** After so long a batch is given up. */
  readonly operationMs: number
}

/** A batch on its way. */
interface Parcel {
  readonly batch: PartBatch
  readonly delivery: Delivery
  /** Which batch of the delivery. */
  readonly index: number
  /** On the monotonic clock. */
  readonly dueAt: number
  isSigned: boolean
  /** It was sent, and no answer said that it is not written. */
  isDoubtful: boolean
}

/** What is to be written to one partition, in its order. */
class Queue {
  readonly topic: string
  readonly partition: number
  parcels: Parcel[] = []
  /** The first one is on its way, or waits for its leader. */
  isBusy = false
  identity: ProducerIdentity | undefined
  sequence = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }
}

/** One broker: a request at a time, with a batch of each partition that has one by then. */
class Lane {
  readonly place: Place
  queues: Queue[] = []
  connection: BrokerConnection | undefined
  isRunning = false

  constructor(place: Place) {
    this.place = place
  }
}

/**
 * Sends batches to the leaders of their partitions, in the order in which they are given (P2): of each partition one at a
 * time, the same bytes again until there is an answer or its time is over. Brokers know a batch again by its producer, epoch
 * and sequence number, so it is written once. What waits behind a batch that fails is not sent.
 *
 * After a batch that may have been written, or a number that the leader did not expect, the partition goes on in the next
 * epoch: once something of that is written, brokers refuse what comes late from the one before.
 */
export class BatchSender {
  readonly #parts: SenderParts
  readonly #transactionalId: string | undefined
  readonly #identify: () => Promise<ProducerIdentity>
  readonly #queues = new Map<string, Map<number, Queue>>()
  readonly #lanes = new Map<string, Lane>()
  #identity: Promise<ProducerIdentity> | undefined
  #isClosed = false
  /** How often an answer was lost: what was asked may still arrive. */
  losses = 0

  constructor(
    parts: SenderParts,
    transactionalId: string | undefined,
    identify: () => Promise<ProducerIdentity>,
  ) {
    this.#parts = parts
    this.#transactionalId = transactionalId
    this.#identify = identify
  }

  send(batches: readonly DirectBatch[]): Delivery {
    const delivery = new Delivery(batches.map(({ count }) => count))
    const dueAt = this.#parts.platform.clock.monotonic() + this.#parts.operationMs
    for (const [index, { topic, partition, batches: own, tooLarge }] of batches.entries()) {
      for (const record of tooLarge) delivery.failed(index, record, 1, recordTooLarge(), 'not-applied')
      const queue = this.#queue(topic, partition)
      for (const batch of own)
        queue.parcels.push({ batch, delivery, index, dueAt, isSigned: false, isDoubtful: false })
      this.#next(queue)
    }
    return delivery
  }

  /** What is under way gets no answer any more. */
  close(): void {
    this.#isClosed = true
    for (const { connection } of this.#lanes.values()) connection?.close()
    for (const queues of this.#queues.values())
      for (const queue of queues.values()) if (queue.parcels.length > 0) this.#giveUp(queue, lateError())
  }

  #queue(topic: string, partition: number): Queue {
    let queues = this.#queues.get(topic)
    if (queues === undefined) {
      queues = new Map()
      this.#queues.set(topic, queues)
    }
    let queue = queues.get(partition)
    if (queue === undefined) {
      queue = new Queue(topic, partition)
      queues.set(partition, queue)
    }
    return queue
  }

  #lane(place: Place): Lane {
    const name = `${place.host}:${place.port}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const lane = new Lane(place)
    this.#lanes.set(name, lane)
    return lane
  }

  #next(queue: Queue): void {
    if (queue.isBusy || queue.parcels.length === 0) return
    queue.isBusy = true
    const leader = this.#parts.topics.leader(queue.topic, queue.partition)
    if (queue.identity === undefined) void this.#introduce(queue)
    else if (leader === undefined) void this.#again(queue, new BrokerError(noLeader, 'no leader is known'))
    else this.#enqueue(queue, this.#lane(leader))
  }

  #enqueue(queue: Queue, lane: Lane): void {
    lane.queues.push(queue)
    if (lane.isRunning) return
    lane.isRunning = true
    void this.#run(lane)
  }

  async #introduce(queue: Queue): Promise<void> {
    try {
      this.#identity ??= this.#identify()
      const leftMs = Math.max(1, this.#leftMs(queue))
      queue.identity = await orLate(this.#parts.platform, this.#identity, leftMs, lateError)
      queue.sequence = 0
      queue.isBusy = false
      this.#next(queue)
    } catch (error) {
      this.#identity = undefined
      await this.#again(queue, asError(error))
    }
  }

  async #run(lane: Lane): Promise<void> {
    // What is sent in the same turn goes along.
    await undefined
    while (lane.queues.length > 0) {
      const queues = taken(lane.queues).filter((queue) => !this.#isLate(queue))
      if (queues.length > 0) await this.#ask(lane, queues)
    }
    lane.isRunning = false
  }

  /** Its time was over while it waited for others of this broker. */
  #isLate(queue: Queue): boolean {
    if (queue.parcels.length === 0) return true
    if (this.#leftMs(queue) > 0) return false
    this.#giveUp(queue, lateError())
    return true
  }

  async #ask(lane: Lane, queues: readonly Queue[]): Promise<void> {
    const { clock } = this.#parts.platform
    const heads = queues.map((queue) => this.#signed(queue))
    const left = Math.min(...heads.map(({ dueAt }) => dueAt)) - clock.monotonic()
    const patienceMs = Math.max(1, Math.min(kafkaLimits.silentBrokerMs, left))
    let answers: readonly ProducedPart[]
    let isSent = false
    try {
      const connection = await this.#connected(lane)
      isSent = true
      const parts = queues.map(({ topic, partition }, index) => {
        return { topic, partition, bytes: heads[index]!.batch.bytes }
      })
      answers = await produce(
        (request) => connection.ask(request, patienceMs),
        this.#transactionalId,
        kafkaLimits.replicasMs,
        parts,
      )
    } catch (error) {
      lane.connection?.close()
      lane.connection = undefined
      if (isSent) this.losses += 1
      for (const head of heads) head.isDoubtful ||= isSent
      for (const queue of queues) void this.#again(queue, asError(error))
      return
    }
    for (const queue of queues) this.#settle(queue, answerFor(queue, answers))
  }

  #signed(queue: Queue): Parcel {
    const head = queue.parcels[0]!
    if (head.isSigned) return head
    head.isSigned = true
    const isTransactional = this.#transactionalId !== undefined
    sign(head.batch, { ...queue.identity!, sequence: queue.sequence, isTransactional })
    return head
  }

  #settle(queue: Queue, { error, message, offset }: ProducedPart): void {
    if (this.#isClosed) return
    if (error !== 0 && error !== duplicate) {
      const head = queue.parcels[0]!
      if (!notWritten.includes(error)) head.isDoubtful = true
      const refusal = new BrokerError(error, message ?? 'the broker refused a batch')
      if (passing.includes(error)) void this.#again(queue, refusal)
      else this.#giveUp(queue, refusal)
      return
    }
    const { batch, delivery, index } = queue.parcels.shift()!
    queue.sequence = sequenceAfter(queue.sequence, batch.count)
    queue.isBusy = false
    // One that was written before, and where it is has been forgotten, has no offset.
    delivery.written(index, batch.from, batch.count, error === duplicate ? -1 : offset)
    this.#next(queue)
  }

  /** Whoever leads by now gets the same batch again, unless its time is over. */
  async #again(queue: Queue, error: Error): Promise<void> {
    const { platform, topics } = this.#parts
    if (!mayPass(error) || this.#leftMs(queue) <= 0) {
      // Who comes next shall not wait for the same broker again.
      void topics.confirm(queue.topic, platform.clock.monotonic()).catch(() => undefined)
      this.#giveUp(queue, error)
      return
    }
    const isGone = await this.#isGone(queue)
    await sleep(platform, kafkaLimits.produceRetryMs)
    if (this.#isClosed) return
    if (isGone) this.#giveUp(queue, new BrokerError(unknownTopic, `there is no topic ${queue.topic}`))
    else if (this.#leftMs(queue) <= 0) this.#giveUp(queue, error)
    else {
      queue.isBusy = false
      this.#next(queue)
    }
  }

  #leftMs({ parcels }: Queue): number {
    return this.#isClosed ? 0 : parcels[0]!.dueAt - this.#parts.platform.clock.monotonic()
  }

  /** Looks who leads by now. */
  async #isGone(queue: Queue): Promise<boolean> {
    const { platform, topics } = this.#parts
    const waitMs = Math.max(1, Math.min(kafkaLimits.firstAnswerMs, this.#leftMs(queue)))
    try {
      const look = topics.confirm(queue.topic, platform.clock.monotonic())
      return (await orLate(platform, look, waitMs, lateError)) === undefined
    } catch {
      return false
    }
  }

  #giveUp(queue: Queue, error: Error): void {
    const [head, ...behind] = queue.parcels.splice(0)
    queue.isBusy = false
    if (head === undefined) return
    if (head.isDoubtful || sequenceErrors.includes(clientCode(error) ?? 0)) this.#renew(queue)
    fail(head, error, head.isDoubtful ? 'unknown' : 'not-applied')
    for (const parcel of behind) fail(parcel, predecessorFailed(queue), 'not-applied')
  }

  #renew(queue: Queue): void {
    const { identity } = queue
    if (identity === undefined) return
    const { producerId, epoch } = identity
    queue.sequence = 0
    if (epoch < epochMax) {
      queue.identity = { producerId, epoch: epoch + 1 }
      return
    }
    queue.identity = undefined
    this.#identity = undefined
  }

  async #connected(lane: Lane): Promise<BrokerConnection> {
    if (lane.connection !== undefined && !lane.connection.hasFailed) return lane.connection
    const { access, platform } = this.#parts
    lane.connection = await BrokerConnection.open(platform, lane.place, access, kafkaLimits.silentBrokerMs)
    return lane.connection
  }
}

const epochMax = 2 ** 15 - 1
const unknownTopic = 3
const noLeader = 5
/** DUPLICATE_SEQUENCE_NUMBER */
const duplicate = 46
/** Out of sequence, an older epoch, a producer that the leader does not know. */
const sequenceErrors: readonly number[] = [45, 47, 59]
const transportFailed = -195
const timedOut = -185

/**
 * Answers after which the same may succeed a moment later: no such topic or leader here yet, another leader, time-outs,
 * a broken batch, replicas that are missing, the broker's disk, a coordinator that is loading or elsewhere, and quotas.
 */
const passing: readonly number[] = [transportFailed, timedOut, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 51, 56, 74, 75, 89] // biome-ignore format: one idea

/**
 * Answers that come before anything is written. Not among them: a leader that has lost its place may say so of a batch that
 * it has, and that its successor has as well.
 */
const notWritten: readonly number[] = [2, 10, 17, 18, 19, 29, 32, 35, 42, 43, 44, 45, 47, 48, 49, 53, 59, 67, 87, 89, 90] // biome-ignore format: one idea

function mayPass(error: Error): boolean {
  return passing.includes(clientCode(error) ?? 0)
}

/** So many as fit into a request. */
function taken(queues: Queue[]): Queue[] {
  let bytes = 0
  let count = 0
  while (count < queues.length && bytes < kafkaLimits.produceBytesMax)
    bytes += queues[count++]!.parcels[0]?.batch.bytes.length ?? 0
  return queues.splice(0, count)
}

function answerFor({ topic, partition }: Queue, answers: readonly ProducedPart[]): ProducedPart {
  const answer = answers.find((one) => one.partition === partition && one.topic === topic)
  return answer ?? { topic, partition, error: timedOut, message: 'no answer for this partition', offset: -1 }
}

function fail({ batch, delivery, index }: Parcel, error: Error, outcome: Outcome): void {
  delivery.failed(index, batch.from, batch.count, error, outcome)
}

const asError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))
export const recordTooLarge = () => new BrokerError(10, 'the record is larger than records may be')

function predecessorFailed({ topic, partition }: Queue): SemelError {
  return new SemelError(
    'PREDECESSOR_FAILED',
    `an earlier publish to ${topic}/${partition} failed, so this one was not applied either`,
    { retryable: true, hint: 'publish it again: order within the partition is kept that way' },
  )
}
