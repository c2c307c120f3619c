import type { AppendedBatch, AppendGroup, AppendResult } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import type { Delivery, OutgoingBatch } from './delivery.ts'
import { translated } from './kafka-errors.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { PreparedBatch, Producers, TransactionalProducer } from './producers.ts'
import type { TopicTable } from './topic-table.ts'

interface Job<B> {
  readonly group: AppendGroup
  readonly batches: readonly B[]
  /** All records of some call must come or none, and they are not one batch: that takes a transaction. */
  readonly isAtomic: boolean
  readonly checked: Promise<void>
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
}

/** Tells whether a record of ours is committed at its offset: settles what a lost answer left open. */
export type IsCommitted = (topic: string, partition: number, offset: number) => Promise<boolean>

const eventsPerTransactionMax = 20_000

/**
 * Appends groups in the order of the calls (P2). Groups of calls with one event each go through an idempotent producer,
 * many under way at once. A call of several events that are not written as one batch is a transaction: all of it is seen,
 * or nothing (P3). What waits behind a transaction shares the next one.
 */
export class Publisher<B extends PreparedBatch = PreparedBatch> {
  readonly #producers: Producers<B>
  readonly #names: KafkaNames
  readonly #topics: TopicTable
  readonly #transactionalId: string
  readonly #isCommitted: IsCommitted
  readonly #queue: Job<B>[] = []
  readonly #underWay = new Set<Promise<void>>()
  #transactional: TransactionalProducer<B> | undefined
  #pumping: Promise<void> | undefined

  constructor(
    producers: Producers<B>,
    names: KafkaNames,
    topics: TopicTable,
    transactionalId: string,
    isCommitted: IsCommitted,
  ) {
    this.#producers = producers
    this.#names = names
    this.#topics = topics
    this.#transactionalId = transactionalId
    this.#isCommitted = isCommitted
  }

  append(group: AppendGroup): Promise<AppendResult> {
    const batches = group.batches.map(({ topic, partition, records }) => {
      return this.#producers.prepare(this.#names.topic(topic), partition, records)
    })
    const checked = this.#checkPlaces(group)
    checked.catch(() => undefined)
    return new Promise((resolve, reject) => {
      this.#queue.push({ group, batches, isAtomic: isSplit(group, batches), checked, resolve, reject })
      this.#pumping ??= this.#pump().finally(() => {
        this.#pumping = undefined
      })
    })
  }

  /** Records for the log's own topics, one after another. */
  async write(batch: OutgoingBatch): Promise<void> {
    const delivery = await this.#producers.plain.send([this.#producers.prepareBare(batch)])
    await delivery.done
    for (const { error, outcome } of delivery.failures)
      throw translated(error, `writing to ${batch.topic}`, outcome)
  }

  async close(): Promise<void> {
    await this.#pumping
    await Promise.all(this.#underWay)
    await this.#producers.plain.close()
    await this.#transactional?.close()
  }

  async #checkPlaces({ batches }: AppendGroup): Promise<void> {
    for (const { topic, partition } of batches) {
      const name = this.#names.topic(topic)
      const found = this.#topics.known(name) ?? (await this.#topics.find(name))
      if (found !== undefined && partition < found.partitions) continue
      throw new SemelError(
        'UNKNOWN_TOPIC',
        found === undefined ? `there is no topic ${topic}` : `topic ${topic} has no partition ${partition}`,
      )
    }
  }

  async #pump(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      try {
        await job.checked
        if (job.isAtomic) await this.#transact(job)
        else await this.#sendPlain(job)
      } catch (error) {
        job.reject(error)
      }
    }
  }

  async #sendPlain(job: Job<B>): Promise<void> {
    const delivery = await this.#producers.plain.send(job.batches)
    const underWay = delivery.done.then(() => {
      this.#underWay.delete(underWay)
      finish(job, delivery)
    })
    this.#underWay.add(underWay)
  }

  async #transact(first: Job<B>): Promise<void> {
    await Promise.all(this.#underWay)
    const jobs = [first, ...(await this.#companions(first))]
    try {
      const deliveries = await this.#runTransaction(jobs)
      for (const [index, job] of jobs.entries()) job.resolve(resultOf(job, deliveries[index]!, new Map()))
    } catch (error) {
      for (const job of jobs) job.reject(error)
    }
  }

  /** What waits already goes along, in its order, up to the first that cannot. */
  async #companions(first: Job<B>): Promise<readonly Job<B>[]> {
    const companions: Job<B>[] = []
    let events = eventsOf(first)
    for (;;) {
      const next = this.#queue[0]
      if (next === undefined) return companions
      events += eventsOf(next)
      if (events > eventsPerTransactionMax) return companions
      const isGood = await next.checked.then(
        () => true,
        () => false,
      )
      if (!isGood) return companions
      this.#queue.shift()
      companions.push(next)
    }
  }

  /** After any failure the producer is thrown away: its next transaction could meet late requests of this one (X5). */
  async #runTransaction(jobs: readonly Job<B>[]): Promise<readonly Delivery[]> {
    const producer = await this.#openTransactional()
    let deliveries: readonly Delivery[] = []
    let isCommitting = false
    try {
      await producer.begin(jobs.flatMap(({ batches }) => batches))
      deliveries = jobs.map(({ batches }) => producer.send(batches))
      await Promise.all(deliveries.map(({ done }) => done))
      const failure = deliveries.flatMap(({ failures }) => failures)[0]
      if (failure !== undefined) throw failure.error
      isCommitting = true
      if (!(await producer.commit())) await this.#discardTransactional(producer)
      return deliveries
    } catch (error) {
      await this.#discardTransactional(producer)
      if (!isCommitting) throw translated(error, 'publishing', 'not-applied')
      if (await this.#settle(jobs, deliveries, error)) return deliveries
      throw translated(error, 'publishing', 'not-applied')
    }
  }

  async #discardTransactional(producer: TransactionalProducer<B>): Promise<void> {
    this.#transactional = undefined
    await producer.discard()
  }

  /** A new producer under the same id ends the old one's transaction one way or the other; then the log tells which. */
  async #settle(jobs: readonly Job<B>[], deliveries: readonly Delivery[], cause: unknown): Promise<boolean> {
    try {
      await this.#openTransactional()
      const { topic, partition } = jobs[0]!.batches[0]!
      return await this.#isCommitted(topic, partition, deliveries[0]!.offsets[0]![0]!)
    } catch {
      throw translated(cause, 'publishing', 'unknown')
    }
  }

  async #openTransactional(): Promise<TransactionalProducer<B>> {
    this.#transactional ??= await this.#producers.transactional(this.#transactionalId)
    return this.#transactional
  }
}

function eventsOf({ batches }: Job<PreparedBatch>): number {
  return batches.reduce((sum, { count }) => sum + count, 0)
}

/** Whether records of some call are in several batches, or in one that may be written in part. */
function isSplit({ calls, batches }: AppendGroup, prepared: readonly PreparedBatch[]): boolean {
  const batchOf = new Int32Array(calls).fill(-1)
  for (const [b, { records, callOf }] of batches.entries()) {
    const { isWhole } = prepared[b]!
    for (let i = 0; i < records.length; i++) {
      const call = callOf?.[i] ?? 0
      const other = batchOf[call]!
      if (other !== -1 && (other !== b || !isWhole)) return true
      batchOf[call] = b
    }
  }
  return false
}

function finish(job: Job<PreparedBatch>, delivery: Delivery): void {
  const failures = new Map<number, Error>()
  for (const { batch, index, error, outcome } of delivery.failures) {
    failures.set(job.group.batches[batch]!.callOf?.[index] ?? 0, translated(error, 'publishing', outcome))
  }
  if (failures.size === job.group.calls) job.reject(failures.values().next().value)
  else job.resolve(resultOf(job, delivery, failures))
}

function resultOf(
  { group }: Job<PreparedBatch>,
  { offsets }: Delivery,
  failures: ReadonlyMap<number, Error>,
): AppendResult {
  return { batches: group.batches.map((_, b) => appendedBatch(offsets[b]!)), failures }
}

function appendedBatch(offsets: readonly number[]): AppendedBatch {
  const firstOffset = offsets[0]!
  const isEven = offsets.every((offset, index) => offset === firstOffset + index)
  return { firstOffset, offsets: isEven ? undefined : offsets, duplicates: undefined }
}
