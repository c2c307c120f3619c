import type { Lease, TaskId, TaskPosition, Unit } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { encodeChangelog, entriesOf, type StateEntryChange, type TaskRecord } from './changelog.ts'
import type { Delivery } from './delivery.ts'
import { translated } from './kafka-errors.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { OwnGroup } from './own-group.ts'
import type { PartitionOffset, PreparedBatch, TransactionalProducer, UnitProducers } from './producers.ts'
import type { TaskView } from './task-view.ts'
import type { TopicTable } from './topic-table.ts'

export interface TaskParts {
  readonly producers: UnitProducers
  readonly names: KafkaNames
  readonly topics: TopicTable
  readonly logId: string
  /** Part of the names of units: nobody else uses it. */
  readonly unique: string
}

/** A transaction that did not come to its end. `isCommitting`: its commit was asked for, so it may have happened. */
class BrokenTransaction extends Error {
  readonly isCommitting: boolean
  constructor(cause: unknown, isCommitting: boolean) {
    super('a transaction was broken off', { cause })
    this.isCommitting = isCommitting
  }
}

/**
 * The right to commit for a task, and the one transactional producer that uses it. Its transactional id is the task's
 * own, so opening a producer ends what an earlier owner left open and fences it (Z1, X5).
 *
 * READY -> BROKEN  any transaction that fails, or of which a request may have been sent twice: its producer is thrown
 *                  away, as late requests of it may still arrive
 * BROKEN -> READY  a new producer; then the changelog says what became of the broken transaction
 * BROKEN -> LOST   the changelog holds a greater epoch, or the group no longer counts us as the owner
 */
export class OwnedTask {
  readonly task: TaskId
  readonly #parts: TaskParts
  readonly #group: OwnGroup
  readonly #view: TaskView
  #producer: TransactionalProducer<PreparedBatch> | undefined
  #epoch = 0
  #isLost = false
  #units = 0
  #last: Promise<unknown> = Promise.resolve()

  private constructor(view: TaskView, group: OwnGroup, parts: TaskParts) {
    this.task = view.task
    this.#view = view
    this.#group = group
    this.#parts = parts
  }

  /** Takes the task over: fences the last owner, reads the changelog to its end and writes the next epoch there. */
  static async acquire(view: TaskView, group: OwnGroup, parts: TaskParts): Promise<OwnedTask> {
    const owned = new OwnedTask(view, group, parts)
    try {
      await owned.#openProducer()
      await view.catchUp()
      const { record } = view
      owned.#epoch = (record?.epoch ?? 0) + 1
      const granted = owned.#record(record?.position, record?.logId)
      await owned.#transact([], [], granted)
      return owned
    } catch (error) {
      await owned.release()
      throw error
    }
  }

  get lease(): Lease {
    return { task: this.task, epoch: this.#epoch }
  }

  /** Waits for what is under way and gives the producer back. */
  async release(): Promise<void> {
    this.#isLost = true
    await this.#last.catch(() => undefined)
    await this.#discardProducer()
  }

  commit(unit: Unit): Promise<void> {
    return this.#inTurn(() => this.#commit(unit))
  }

  /** After a lost answer this finds out, by way of a new producer. */
  position(): Promise<TaskPosition> {
    return this.#inTurn(async () => {
      await this.#ready()
      return { position: this.#view.record?.position, logId: this.#view.record?.logId }
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work)
    this.#last = result
    return result
  }

  async #commit(unit: Unit): Promise<void> {
    const batches = await this.#prepared(unit)
    await this.#ready()
    this.#checkOwner(unit)
    const entries = entriesOf(unit.state)
    const record = this.#record(unit.to, unit.logId)
    try {
      await this.#transact(batches, entries, record)
    } catch (error) {
      if (!(error instanceof BrokenTransaction)) throw error
      if (await this.#isCommitted(error, record)) return
      throw this.#notApplied(error)
    }
  }

  async #prepared({ appends }: Unit): Promise<PreparedBatch[]> {
    const { names, producers, topics } = this.#parts
    const batches: PreparedBatch[] = []
    for (const { topic, partition, records } of appends) {
      const found = await topics.find(names.topic(topic))
      if (found === undefined || partition >= found.partitions) {
        throw new SemelError('UNKNOWN_TOPIC', `there is no partition ${partition} of a topic ${topic}`)
      }
      batches.push(producers.prepare(found.name, partition, records))
    }
    return batches
  }

  #checkOwner({ lease, from }: Unit): void {
    if (lease.epoch !== this.#epoch || this.#isLost) throw this.#fenced()
    const position = this.#view.record?.position
    if (position === from) return
    throw new SemelError('POSITION_MISMATCH', `${this.#name} is at ${position}, not at ${from}`)
  }

  /** A producer that can begin, or FENCED. */
  async #ready(): Promise<void> {
    if (this.#isLost) throw this.#fenced()
    if (this.#producer === undefined) await this.#recover()
  }

  /**
   * Opening a producer would fence a new owner, who would fence us in turn. So the changelog is asked first whether
   * there is one, and the group whether there will be.
   */
  async #recover(): Promise<void> {
    await this.#view.catchUp()
    this.#checkEpoch()
    if (!this.#group.owns(this.task)) throw this.#fenced()
    if (!(await this.#group.isCounted(this.task))) this.#lose()
    await this.#openProducer()
    await this.#view.catchUp()
    this.#checkEpoch()
  }

  #checkEpoch(): void {
    if ((this.#view.record?.epoch ?? 0) !== this.#epoch) this.#lose()
  }

  #lose(): never {
    this.#isLost = true
    this.#group.lost(this.lease)
    throw this.#fenced()
  }

  async #transact(
    batches: readonly PreparedBatch[],
    entries: readonly StateEntryChange[],
    record: TaskRecord,
  ): Promise<void> {
    const producer = this.#producer!
    const { group, topic: source, partition } = this.task
    const topic = this.#parts.names.changelog(group, source)
    const records = encodeChangelog(entries, record)
    const all = [...batches, this.#parts.producers.prepareBare({ topic, partition, records })]
    const offsets = await this.#offsets(record, topic)
    let isCommitting = false
    try {
      await producer.begin(all)
      const from = this.#view.end
      const delivery = producer.send(all)
      await Promise.all([delivery.done, producer.addOffsets(offsets, this.#group.member(this.task))])
      for (const { error } of delivery.failures) throw error
      if (!this.#group.owns(this.task)) throw this.#fenced()
      isCommitting = true
      const isOnce = await producer.commit()
      this.#view.apply(entries, record, endOf(delivery) ?? from + records.length)
      if (!isOnce) await this.#discardProducer()
    } catch (error) {
      await this.#discardProducer()
      throw new BrokenTransaction(error, isCommitting)
    }
  }

  /** Positions are also the group's offsets, for Kafka's own tools. Where the source is elsewhere, only the member counts. */
  async #offsets({ position, logId }: TaskRecord, changelog: string): Promise<readonly PartitionOffset[]> {
    const { names, topics } = this.#parts
    const { topic, partition } = this.task
    const isOwn = position !== undefined && logId === this.#parts.logId
    const source = isOwn ? await topics.find(names.topic(topic)) : undefined
    if (source === undefined || partition >= source.partitions)
      return [{ topic: changelog, partition, offset: 0 }]
    return [{ topic: source.name, partition, offset: position! }]
  }

  async #isCommitted(broken: BrokenTransaction, { unit }: TaskRecord): Promise<boolean> {
    try {
      await this.#recover()
    } catch {
      if (this.#view.record?.unit === unit) return true
      // Nobody asked for the commit, so nobody can have done it.
      if (!broken.isCommitting || this.#isLost) return false
      throw translated(broken.cause, `committing for ${this.#name}`, 'unknown')
    }
    return this.#view.record?.unit === unit
  }

  /**
   * Who could recover is the owner still, whatever the broker refused: a producer whose transaction took too long, or a
   * member whose epoch had just changed. FENCED would end the task for good.
   */
  #notApplied({ cause }: BrokenTransaction): Error {
    if (this.#isLost || !this.#group.owns(this.task)) return this.#fenced()
    return translated(cause, `committing for ${this.#name}`, 'not-applied')
  }

  #record(position: number | undefined, logId: string | undefined): TaskRecord {
    this.#units += 1
    return {
      epoch: this.#epoch,
      position,
      logId,
      unit: `${this.#parts.unique}-${this.#epoch}-${this.#units}`,
    }
  }

  #fenced(): SemelError {
    return new SemelError(
      'FENCED',
      `${this.#name} has a new owner, or will get one: epoch ${this.#epoch} is over`,
    )
  }

  get #name(): string {
    return `${this.task.group} on ${this.task.topic}/${this.task.partition}`
  }

  async #openProducer(): Promise<void> {
    const { names, producers } = this.#parts
    const { group, topic, partition } = this.task
    this.#producer = await producers.transactional(names.transactionalId(group, topic, partition))
  }

  async #discardProducer(): Promise<void> {
    const producer = this.#producer
    this.#producer = undefined
    await producer?.discard()
  }
}

/** Behind the last record of the last batch, if it is known where that is. */
function endOf({ offsets }: Delivery): number | undefined {
  const last = offsets.at(-1)?.at(-1)
  return last === undefined ? undefined : last + 1
}
