import type { Engine } from './engine/engine.ts'
import type { Durability } from './engine/facts.ts'
import type {
  EngineStatus,
  MemberStatus,
  OutboxStatus,
  PartitionStatus,
  TaskStatus,
} from './engine/status.ts'
import { outboxTask } from './engine/store-names.ts'
import type { Platform } from './platform/platform.ts'

/** One snapshot of a bus, for displays and programs. Figures of other processes are at most one heartbeat old. */
export interface BusStatus {
  readonly engine: { readonly name: string; readonly logId: string; readonly durability: Durability }
  /** When the snapshot was taken, ms since 1970. */
  readonly at: number
  readonly topics: readonly TopicSnapshot[]
  readonly groups: readonly GroupSnapshot[]
  /** Events waiting in this process for the engine. */
  readonly publishQueueEvents: number
  readonly storage: EngineStatus['storage']
  /** Absent where the engine keeps no outbox. */
  readonly outbox: OutboxSnapshot | undefined
}

export interface OutboxSnapshot extends OutboxStatus {
  /** Member that moves events now; `undefined` if none does, and events wait. */
  readonly sequencer: string | undefined
}

export interface TopicSnapshot {
  readonly topic: string
  readonly dedupWindowMs: number
  /** Where the topic is now, if it was moved to another engine. */
  readonly movedTo: string | undefined
  readonly partitions: readonly PartitionSnapshot[]
  /** Events per second since this bus took its previous snapshot (or opened). */
  readonly eventsPerSecond: number
}

export interface PartitionSnapshot extends PartitionStatus {
  readonly partition: number
  readonly eventsPerSecond: number
}

export interface GroupSnapshot {
  readonly group: string
  readonly tasks: readonly TaskSnapshot[]
  readonly members: readonly MemberStatus[]
  /** Sum over its tasks. */
  readonly lagEvents: number
  /** Age of the oldest event that waits, in milliseconds; 0 if none does. */
  readonly lagMs: number
  readonly inFlight: number
  readonly retries: number
  readonly deadLetters: number
}

export interface TaskSnapshot extends TaskStatus {
  /** Offsets between position and end. An upper bound where offsets have holes. */
  readonly lagEvents: number
  readonly lagMs: number
}

/** Turns engine snapshots into rates and lags. Keeps one number per partition between calls. */
export class StatusReader {
  readonly #engine: Engine
  readonly #platform: Platform
  readonly #ends = new Map<string, number>()
  #takenMs: number

  constructor(engine: Engine, platform: Platform) {
    this.#engine = engine
    this.#platform = platform
    this.#takenMs = platform.clock.monotonic()
  }

  async read(durability: Durability, publishQueueEvents: number): Promise<BusStatus> {
    const status = await this.#engine.status()
    const nowMs = this.#platform.clock.monotonic()
    const seconds = Math.max(0.001, (nowMs - this.#takenMs) / 1000)
    this.#takenMs = nowMs
    const at = this.#platform.clock.now()
    return {
      engine: { name: this.#engine.facts.name, logId: this.#engine.logId, durability },
      at,
      topics: status.topics.map((topic) => this.#topic(topic, seconds)),
      groups: groupSnapshots(status, at),
      publishQueueEvents,
      storage: status.storage,
      outbox: outboxSnapshot(status),
    }
  }

  #topic(topic: EngineStatus['topics'][number], seconds: number): TopicSnapshot {
    const partitions = topic.partitions.map((partition, number): PartitionSnapshot => {
      const name = `${topic.topic}/${number}`
      const before = this.#ends.get(name) ?? partition.end
      this.#ends.set(name, partition.end)
      return { ...partition, partition: number, eventsPerSecond: (partition.end - before) / seconds }
    })
    const eventsPerSecond = partitions.reduce((sum, partition) => sum + partition.eventsPerSecond, 0)
    const { topic: name, dedupWindowMs, movedTo } = topic
    return { topic: name, dedupWindowMs, movedTo, partitions, eventsPerSecond }
  }
}

function outboxSnapshot({ outbox, groups }: EngineStatus): OutboxSnapshot | undefined {
  if (outbox === undefined) return undefined
  const task = groups.find(({ group }) => group === outboxTask.group)
  return { ...outbox, sequencer: task?.owner }
}

function groupSnapshots(status: EngineStatus, at: number): GroupSnapshot[] {
  const ends = new Map(
    status.topics.flatMap(({ topic, partitions }) => partitions.map((p, i) => [`${topic}/${i}`, p])),
  )
  const names = [...new Set([...status.groups, ...status.members].map(({ group }) => group))].sort()
  return names.map((group) => {
    const known = status.groups.filter((task) => task.group === group)
    const tasks = [...known, ...neverTaken(group, known, status.topics)]
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
      .map((task) => taskSnapshot(task, ends.get(`${task.topic}/${task.partition}`), at))
    const members = status.members.filter((member) => member.group === group)
    return {
      group,
      tasks,
      members,
      lagEvents: tasks.reduce((sum, task) => sum + task.lagEvents, 0),
      lagMs: tasks.reduce((most, task) => Math.max(most, task.lagMs), 0),
      inFlight: members.reduce((sum, { report }) => sum + report.inFlight, 0),
      retries: members.reduce((sum, { report }) => sum + report.retries, 0),
      deadLetters: tasks.reduce((sum, task) => sum + task.deadLetters, 0),
    }
  })
}

/** Partitions that nobody of the group has taken yet wait like all others, and count. */
function neverTaken(
  group: string,
  known: readonly TaskStatus[],
  topics: EngineStatus['topics'],
): readonly TaskStatus[] {
  const byTopic = Map.groupBy(known, ({ topic }) => topic)
  return topics.flatMap(({ topic, partitions }) => {
    const tasks = byTopic.get(topic)
    if (tasks === undefined || tasks.length === partitions.length) return []
    const taken = new Set(tasks.map(({ partition }) => partition))
    return partitions.flatMap((_, partition) =>
      taken.has(partition) ? [] : untaken(group, topic, partition),
    )
  })
}

function untaken(group: string, topic: string, partition: number): TaskStatus {
  const nobody = { position: undefined, waitingSince: undefined, epoch: 0, owner: undefined }
  return { group, topic, partition, ...nobody, deadLetters: 0 }
}

function taskSnapshot(task: TaskStatus, bounds: PartitionStatus | undefined, at: number): TaskSnapshot {
  const end = bounds?.end ?? 0
  // Where offsets have holes, what is left may be holes alone: then the engine knows no event that waits.
  const isAtEnd = task.position !== undefined && task.waitingSince === undefined
  const lagEvents = isAtEnd ? 0 : Math.max(0, end - (task.position ?? bounds?.earliest ?? 0))
  const lagMs = lagEvents === 0 || task.waitingSince === undefined ? 0 : Math.max(0, at - task.waitingSince)
  return { ...task, lagEvents, lagMs }
}
