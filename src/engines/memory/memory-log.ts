import type { SealRequest, TaskId, TopicSpec } from '../../engine/engine.ts'
import { changedSeal, obstacleOf, type TopicSeal } from '../../engine/topic-seal.ts'
import { SemelError } from '../../errors.ts'
import { type EncodedBatch, encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import type { Platform } from '../../platform/platform.ts'
import { MemoryLeases } from './memory-leases.ts'
import type { MemoryStore } from './memory-store.ts'

/** An event as it lies in memory: encoded, so that nobody shares a mutable object with the log. */
export interface MemoryEvent {
  readonly offset: number
  readonly appendTime: number
  readonly encoded: EncodedBatch
}

export interface MemoryPartition {
  /** Offset of `events[0]`. Greater than 0 only after `deleteBefore`. */
  earliest: number
  readonly events: MemoryEvent[]
  duplicates: number
  lastAppendTime: number | undefined
}

export interface MemoryTopic {
  dedupWindowMs: number
  readonly partitions: readonly MemoryPartition[]
  /** Every id inside the window with the event it was first accepted as, oldest first (N1, N3). */
  readonly ids: Map<string, MemoryEvent>
}

export interface MemoryTask {
  readonly task: TaskId
  position: number | undefined
  logId: string | undefined
  readonly stores: Map<string, MemoryStore>
}

/**
 * What a durable engine keeps on disk. It outlives the engines that open it, and several may share it.
 * All steps are synchronous, which is what makes them atomic.
 */
export class MemoryLog {
  readonly topics = new Map<string, MemoryTopic>()
  readonly leases = new MemoryLeases((topic) => this.obstacle(topic))
  readonly #seals = new Map<string, TopicSeal>()
  readonly #tasks = new Map<string, MemoryTask>()
  readonly #listeners = new Set<() => void>()
  #platform: Platform | undefined
  #id = ''
  #appendTime = 0

  /** The first engine that opens the log lends it its clock, so that all engines agree on one. */
  attach(platform: Platform): void {
    if (this.#platform !== undefined) return
    this.#platform = platform
    this.#id = Array.from({ length: 4 }, () => platform.random.uint32().toString(16).padStart(8, '0')).join(
      '',
    )
    this.leases.useClock(platform.clock)
  }

  get id(): string {
    return this.#id
  }

  /** The append clock: a wall clock that never goes back (R2). */
  now(): number {
    this.#appendTime = Math.max(this.#appendTime, this.#platform?.clock.now() ?? 0)
    return this.#appendTime
  }

  topic(name: string): MemoryTopic {
    const topic = this.topics.get(name)
    if (topic === undefined)
      throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(name)}`)
    return topic
  }

  partition(topic: string, index: number): MemoryPartition {
    const partition = this.topic(topic).partitions[index]
    if (partition === undefined)
      throw new SemelError('UNKNOWN_TOPIC', `topic ${topic} has no partition ${index}`)
    return partition
  }

  seal(request: SealRequest): void {
    const { topic } = request
    this.topic(topic)
    const { seal, fences } = changedSeal(this.#seals.get(topic), request, this.now())
    if (seal === undefined) this.#seals.delete(topic)
    else this.#seals.set(topic, seal)
    if (fences) this.leases.fence(topic)
  }

  movedTo(topic: string): string | undefined {
    return this.#seals.get(topic)?.movedTo
  }

  /** Why the topic is closed, if it is. A hold that has run out ends here. */
  obstacle(topic: string): SemelError | undefined {
    const seal = this.#seals.get(topic)
    const obstacle = seal && obstacleOf(topic, seal, this.now())
    if (obstacle === undefined) this.#seals.delete(topic)
    return obstacle
  }

  createTopic({ name, partitions, dedupWindowMs }: TopicSpec): void {
    this.topics.set(name, {
      dedupWindowMs,
      partitions: Array.from({ length: partitions }, () => emptyPartition()),
      ids: new Map(),
    })
  }

  /** The event that was first accepted under `id`, while the window since then is open (N3). */
  known(topicName: string, id: string): MemoryEvent | undefined {
    const topic = this.topic(topicName)
    const before = this.now() - topic.dedupWindowMs
    for (const [oldest, { appendTime }] of topic.ids) {
      if (appendTime > before) break
      topic.ids.delete(oldest)
    }
    return topic.ids.get(id)
  }

  push(topicName: string, index: number, record: EventRecord): void {
    const topic = this.topic(topicName)
    const partition = this.partition(topicName, index)
    const event = { offset: endOf(partition), appendTime: this.now(), encoded: encodeBatch([record]) }
    partition.events.push(event)
    partition.lastAppendTime = event.appendTime
    if (topic.dedupWindowMs > 0) topic.ids.set(record.id, event)
  }

  /** Retention: events below `offset` are gone, their ids are still remembered (N4). */
  deleteBefore(topic: string, index: number, offset: number): void {
    const partition = this.partition(topic, index)
    const count = Math.min(offset, endOf(partition)) - partition.earliest
    if (count <= 0) return
    partition.events.splice(0, count)
    partition.earliest += count
  }

  /** What a group remembers of a task; made at the first commit. */
  task(id: TaskId): MemoryTask | undefined {
    return this.#tasks.get(taskName(id))
  }

  createTask({ group, topic, partition }: TaskId): MemoryTask {
    const task: MemoryTask = {
      task: { group, topic, partition },
      position: undefined,
      logId: undefined,
      stores: new Map(),
    }
    this.#tasks.set(taskName(task.task), task)
    return task
  }

  get tasks(): readonly MemoryTask[] {
    return [...this.#tasks.values()]
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Tells every reader of every engine, in a turn of its own: a listener never runs inside somebody's append. */
  announce(): void {
    for (const listener of this.#listeners) {
      this.#platform?.timers.soon(() => {
        if (this.#listeners.has(listener)) listener()
      })
    }
  }
}

function emptyPartition(): MemoryPartition {
  return { earliest: 0, events: [], duplicates: 0, lastAppendTime: undefined }
}

export function endOf(partition: MemoryPartition): number {
  return partition.earliest + partition.events.length
}

export function taskName({ group, topic, partition }: TaskId): string {
  return `${group}\u0000${topic}\u0000${partition}`
}
