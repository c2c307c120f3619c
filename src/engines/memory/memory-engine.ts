import { type AppendPlan, planAppend } from '../../engine/append-plan.ts'
import type {
  AppendGroup,
  AppendResult,
  Engine,
  EngineContext,
  JoinRequest,
  Lease,
  Membership,
  OwnershipListener,
  PartitionBounds,
  ReadRequest,
  ReadResult,
  ScanRequest,
  SealRequest,
  StateEntry,
  TaskId,
  TaskPosition,
  TopicSpec,
  Unit,
  UnitTransaction,
} from '../../engine/engine.ts'
import { LeaseBalancer } from '../../engine/lease-balancer.ts'
import type { EngineStatus } from '../../engine/status.ts'
import { assert, SemelError } from '../../errors.ts'
import { decodeBatch } from '../../event/batch-codec.ts'
import type { StoredEvent } from '../../event/event.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { memoryFacts } from './facts.ts'
import { FailedCalls } from './failed-calls.ts'
import { endOf, type MemoryEvent, type MemoryLog } from './memory-log.ts'
import { memoryStatus } from './memory-status.ts'
import { MemoryStore } from './memory-store.ts'

/**
 * The reference engine: the port in its shortest form. Each operation is one synchronous step on the shared
 * `MemoryLog`, so it is atomic, and calls take effect in the order they were made (P2). Events are
 * written and read a turn of the event loop later, as if a disk had been asked: timers and I/O have their chance
 * under any load.
 */
export class MemoryEngine implements Engine {
  readonly facts = memoryFacts
  readonly #log: MemoryLog
  readonly #failed = new FailedCalls()
  readonly #stopListening = new Set<() => void>()
  #context: EngineContext | undefined

  constructor(log: MemoryLog) {
    this.#log = log
  }

  async open(context: EngineContext): Promise<void> {
    this.#context = context
    this.#log.attach(context.platform)
  }

  async close(): Promise<void> {
    for (const stop of this.#stopListening) stop()
    await this.#turn()
  }

  get logId(): string {
    return this.#log.id
  }

  async declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    for (const spec of topics) this.#checkSpec(spec)
    for (const spec of topics) {
      const topic = this.#log.topics.get(spec.name)
      if (topic === undefined) this.#log.createTopic(spec)
      else topic.dedupWindowMs = spec.dedupWindowMs
    }
    await this.#turn()
  }

  #checkSpec({ name, partitions, dedupWindowMs }: TopicSpec): void {
    const topic = this.#log.topics.get(name)
    if (topic === undefined) return
    if (topic.partitions.length !== partitions) {
      const stored = topic.partitions.length
      throw new SemelError('TOPIC_CONTRADICTION', `topic ${name} has ${stored} partitions, not ${partitions}`)
    }
    if (topic.dedupWindowMs > 0 !== dedupWindowMs > 0) {
      const stored = topic.dedupWindowMs > 0 ? 'with' : 'without'
      throw new SemelError('TOPIC_CONTRADICTION', `topic ${name} was created ${stored} deduplication`)
    }
  }

  async append(group: AppendGroup): Promise<AppendResult> {
    const plan = this.#plan(group, (topic, partition) => {
      return this.#failed.blocks(topic, partition, group.failuresSeen)
    })
    this.#apply(group, plan)
    this.#failed.note(group, plan)
    await this.#turn()
    return plan
  }

  #plan(group: AppendGroup, blocked: (topic: string, partition: number) => boolean): AppendPlan {
    const batches = group.batches.map(({ topic, partition, records, callOf, fresh }) => {
      return { topic, partition, callOf, fresh, ids: records.map(({ id }) => id) }
    })
    return planAppend(
      { calls: group.calls, batches },
      {
        known: (topic, id) => {
          const event = this.#log.known(topic, id)
          return (
            event && {
              offset: event.offset,
              print: undefined,
              fingerprint: () => fingerprint(decodeEvent(event)),
            }
          )
        },
        content: (b, index) => {
          const record = group.batches[b]!.records[index]!
          return { print: undefined, fingerprint: () => fingerprint(record) }
        },
        remembers: (topic) => this.#log.topic(topic).dedupWindowMs > 0,
        nextOffset: (topic, partition) => endOf(this.#log.partition(topic, partition)),
        blocked,
        obstacle: (topic) => this.#log.obstacle(topic),
      },
    )
  }

  #apply(group: AppendGroup, plan: AppendPlan): void {
    let appended = 0
    for (const [b, { topic, partition, records }] of group.batches.entries()) {
      const { firstOffset, keep, duplicates } = plan.batches[b]!
      const kept = keep === undefined ? records : keep.map((index) => records[index]!)
      const stored = this.#log.partition(topic, partition)
      assert(
        kept.length === 0 || endOf(stored) === firstOffset,
        'nothing comes between a plan and its writes',
      )
      for (const record of kept) this.#log.push(topic, partition, record)
      stored.duplicates += duplicates?.size ?? 0
      appended += kept.length
    }
    if (appended > 0) this.#log.announce()
  }

  async read({ topic, partition, offset, maxEvents, maxBytes }: ReadRequest): Promise<ReadResult> {
    const stored = this.#log.partition(topic, partition)
    const { earliest } = stored
    const end = endOf(stored)
    if (offset < earliest || offset > end) {
      const range = `offsets ${earliest} to ${end}`
      throw new SemelError('OFFSET_OUT_OF_RANGE', `${topic}/${partition} holds ${range}, not ${offset}`, {
        earliest,
        end,
        actual: offset,
      })
    }
    const events: StoredEvent[] = []
    let bytes = 0
    for (let at = offset; at < end && events.length < maxEvents; at++) {
      const event = stored.events[at - earliest]!
      const size = event.encoded.head.length + event.encoded.body.length
      if (events.length > 0 && bytes + size > maxBytes) break
      bytes += size
      events.push(decodeEvent(event))
    }
    await this.#turn()
    return { events, bytes, next: offset + events.length, end }
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return this.#log.topic(topic).partitions.map((partition) => {
      return { earliest: partition.earliest, end: endOf(partition) }
    })
  }

  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    const stored = this.#log.partition(topic, partition)
    return stored.events.find(({ appendTime }) => appendTime >= time)?.offset ?? endOf(stored)
  }

  onAppend(listener: () => void): () => void {
    const stop = this.#log.onAppend(listener)
    this.#stopListening.add(stop)
    return stop
  }

  async join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    const { platform, member } = this.#opened
    return await LeaseBalancer.join({ table: this.#log.leases, platform, member, request, listener })
  }

  async load({ task }: Lease): Promise<TaskPosition> {
    const { position, logId } = this.#log.task(task) ?? { position: undefined, logId: undefined }
    return { position, logId }
  }

  async readState(
    task: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    const values = this.#log.task(task)?.stores.get(store)
    return keys.map((key) => values?.get(key))
  }

  async stores(task: TaskId): Promise<readonly string[]> {
    return [...(this.#log.task(task)?.stores.keys() ?? [])]
  }

  async scanState({ task, store, after, limit }: ScanRequest): Promise<readonly StateEntry[]> {
    return this.#log.task(task)?.stores.get(store)?.scan(after, limit) ?? []
  }

  async commit(unit: Unit): Promise<void> {
    this.#checkOwner(unit)
    const group: AppendGroup = { calls: 1, batches: unit.appends, failuresSeen: 0 }
    const plan = this.#plan(group, () => false)
    for (const conflict of plan.failures.values()) throw conflict
    this.#apply(group, plan)
    const task = this.#log.task(unit.lease.task) ?? this.#log.createTask(unit.lease.task)
    task.position = unit.to
    task.logId = unit.logId
    for (const changes of unit.state) {
      const store = task.stores.get(changes.store) ?? new MemoryStore()
      task.stores.set(changes.store, store)
      store.apply(changes)
    }
    await this.#turn()
  }

  #checkOwner({ lease: { task, epoch }, from }: Unit): void {
    const current = this.#log.leases.epochOf(task)
    const name = `${task.group} on ${task.topic}/${task.partition}`
    if (epoch !== current) {
      throw new SemelError('FENCED', `${name} has a new owner: epoch ${current}, not ${epoch}`)
    }
    const position = this.#log.task(task)?.position
    if (position !== from) {
      throw new SemelError('POSITION_MISMATCH', `${name} is at ${position}, not at ${from}`)
    }
  }

  async begin(): Promise<UnitTransaction> {
    throw new SemelError('UNSUPPORTED', 'the memory engine has no SQL')
  }

  async seal(request: SealRequest): Promise<void> {
    this.#log.seal(request)
    await this.#turn()
  }

  async status(): Promise<EngineStatus> {
    return memoryStatus(this.#log)
  }

  get #opened(): EngineContext {
    assert(this.#context !== undefined, 'the guard opens an engine before anything else')
    return this.#context
  }

  async #turn(): Promise<void> {
    const { timers } = this.#opened.platform
    await new Promise<void>((resolve) => timers.soon(resolve))
  }
}

function decodeEvent({ offset, appendTime, encoded }: MemoryEvent): StoredEvent {
  return { ...decodeBatch(encoded)[0]!, offset, appendTime }
}
