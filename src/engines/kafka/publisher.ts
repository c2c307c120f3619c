import type { AppendedBatch, AppendGroup, AppendResult } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import type { EventRecord } from '../../event/event.ts'
import { type Clients, call } from './client.ts'
import type { Producer } from './client-types.ts'
import { type Delivery, listenForReports, type OutgoingBatch, send } from './delivery.ts'
import type { EncodedEvent } from './encode-event.ts'
import { translated } from './kafka-errors.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { TopicTable } from './topic-table.ts'

interface Job {
  readonly group: AppendGroup
  readonly batches: readonly OutgoingBatch[]
  /** Some call has several records, so all must come or none: that takes a transaction. */
  readonly isAtomic: boolean
  readonly checked: Promise<void>
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
}

export interface PublisherSettings {
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  readonly encode: (record: EventRecord) => EncodedEvent
}

/** Tells whether a record of ours is committed at its offset: settles what a lost answer left open. */
export type IsCommitted = (topic: string, partition: number, offset: number) => Promise<boolean>

const eventsPerTransactionMax = 20_000

/**
 * Appends groups in the order of the calls (P2). Groups of calls with one event each go through an idempotent producer,
 * many under way at once. A call of several events is a transaction: all of it is seen, or nothing (P3). What waits
 * behind a transaction shares the next one.
 */
export class Publisher {
  readonly #clients: Clients
  readonly #names: KafkaNames
  readonly #topics: TopicTable
  readonly #settings: PublisherSettings
  readonly #isCommitted: IsCommitted
  readonly #queue: Job[] = []
  readonly #underWay = new Set<Promise<void>>()
  #plain: Producer | undefined
  #openingPlain: Promise<Producer> | undefined
  #leftBehind: Promise<unknown> = Promise.resolve()
  #transactional: Producer | undefined
  #pumping: Promise<void> | undefined

  constructor(
    clients: Clients,
    names: KafkaNames,
    topics: TopicTable,
    settings: PublisherSettings,
    isCommitted: IsCommitted,
  ) {
    this.#clients = clients
    this.#names = names
    this.#topics = topics
    this.#settings = settings
    this.#isCommitted = isCommitted
  }

  append(group: AppendGroup): Promise<AppendResult> {
    const batches = group.batches.map(({ topic, partition, records }) => {
      return { topic: this.#names.topic(topic), partition, records: records.map(this.#settings.encode) }
    })
    const checked = this.#checkPlaces(group)
    checked.catch(() => undefined)
    return new Promise((resolve, reject) => {
      this.#queue.push({ group, batches, isAtomic: hasLargeCall(group), checked, resolve, reject })
      this.#pumping ??= this.#pump().finally(() => {
        this.#pumping = undefined
      })
    })
  }

  /** Records for the log's own topics, one after another. */
  async write(batch: OutgoingBatch): Promise<void> {
    const delivery = send(await this.#openPlain(), [batch])
    await delivery.done
    for (const { error } of delivery.failures) throw translated(error, `writing to ${batch.topic}`, 'unknown')
  }

  async close(): Promise<void> {
    await this.#pumping
    await Promise.all(this.#underWay)
    for (const producer of [this.#plain, this.#transactional]) {
      if (producer !== undefined) await this.#clients.disconnect(producer)
    }
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

  async #sendPlain(job: Job): Promise<void> {
    // What is left in a failed producer is still sent, and comes before this (P2).
    await this.#leftBehind
    const producer = await this.#openPlain()
    const delivery = send(producer, job.batches)
    const underWay = delivery.done.then(() => {
      this.#underWay.delete(underWay)
      if (delivery.failures.length > 0 && producer === this.#plain) this.#discardPlain(producer)
      finish(job, delivery)
    })
    this.#underWay.add(underWay)
  }

  /**
   * What comes after a failed record must not be written with what is left in this producer. It is ended when all of that
   * has its report, as records still in it at its end would never get one.
   */
  #discardPlain(producer: Producer): void {
    this.#plain = undefined
    this.#leftBehind = Promise.all(this.#underWay)
    const ended = this.#leftBehind
      .then(() => this.#clients.disconnect(producer))
      .then(() => {
        this.#underWay.delete(ended)
      })
    this.#underWay.add(ended)
  }

  async #transact(first: Job): Promise<void> {
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
  async #companions(first: Job): Promise<readonly Job[]> {
    const companions: Job[] = []
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
  async #runTransaction(jobs: readonly Job[]): Promise<readonly Delivery[]> {
    const producer = await this.#openTransactional()
    let deliveries: readonly Delivery[] = []
    let isCommitting = false
    try {
      await call<void>((done) => producer.beginTransaction(done))
      deliveries = jobs.map(({ batches }) => send(producer, batches))
      await Promise.all(deliveries.map(({ done }) => done))
      const failure = deliveries.flatMap(({ failures }) => failures)[0]
      if (failure !== undefined) throw failure.error
      isCommitting = true
      if (!(await this.#clients.commit(producer))) await this.#discardTransactional(producer)
      return deliveries
    } catch (error) {
      await this.#discardTransactional(producer)
      if (!isCommitting) throw translated(error, 'publishing', 'not-applied')
      if (await this.#settle(jobs, deliveries, error)) return deliveries
      throw translated(error, 'publishing', 'not-applied')
    }
  }

  async #discardTransactional(producer: Producer): Promise<void> {
    this.#transactional = undefined
    await this.#clients.discard(producer)
  }

  /** A new producer under the same id ends the old one's transaction one way or the other; then the log tells which. */
  async #settle(jobs: readonly Job[], deliveries: readonly Delivery[], cause: unknown): Promise<boolean> {
    try {
      await this.#openTransactional()
      const { topic, partition } = jobs[0]!.batches[0]!
      return await this.#isCommitted(topic, partition, deliveries[0]!.offsets[0]![0]!)
    } catch {
      throw translated(cause, 'publishing', 'unknown')
    }
  }

  async #openPlain(): Promise<Producer> {
    if (this.#plain !== undefined) return this.#plain
    // Shared: of two producers, the one that was opened first could write last (P2).
    this.#openingPlain ??= this.#open(undefined).finally(() => {
      this.#openingPlain = undefined
    })
    this.#plain = await this.#openingPlain
    return this.#plain
  }

  async #openTransactional(): Promise<Producer> {
    this.#transactional ??= await this.#open(this.#settings.transactionalId)
    return this.#transactional
  }

  async #open(transactionalId: string | undefined): Promise<Producer> {
    try {
      const producer = await this.#clients.producer(
        transactionalId,
        this.#settings.transactionTimeoutMs,
        true,
      )
      listenForReports(producer)
      return producer
    } catch (error) {
      throw translated(error, 'opening a producer', 'not-applied')
    }
  }
}

function eventsOf({ batches }: Job): number {
  return batches.reduce((sum, { records }) => sum + records.length, 0)
}

function hasLargeCall({ calls, batches }: AppendGroup): boolean {
  let records = 0
  const sizes = new Uint32Array(calls)
  for (const batch of batches) {
    records += batch.records.length
    for (let i = 0; i < batch.records.length; i++) sizes[batch.callOf?.[i] ?? 0]! += 1
  }
  return records > calls || sizes.some((size) => size > 1)
}

function finish(job: Job, delivery: Delivery): void {
  const failures = new Map<number, Error>()
  for (const { batch, index, error } of delivery.failures) {
    failures.set(job.group.batches[batch]!.callOf?.[index] ?? 0, translated(error, 'publishing', 'unknown'))
  }
  if (failures.size === job.group.calls) job.reject(failures.values().next().value)
  else job.resolve(resultOf(job, delivery, failures))
}

function resultOf({ group }: Job, { offsets }: Delivery, failures: ReadonlyMap<number, Error>): AppendResult {
  return { batches: group.batches.map((_, b) => appendedBatch(offsets[b]!)), failures }
}

function appendedBatch(offsets: readonly number[]): AppendedBatch {
  const firstOffset = offsets[0]!
  const isEven = offsets.every((offset, index) => offset === firstOffset + index)
  return { firstOffset, offsets: isEven ? undefined : offsets, duplicates: undefined }
}
