import assert from 'node:assert/strict'
import type {
  AppendBatch,
  AppendGroup,
  AppendResult,
  Engine,
  Lease,
  StateChanges,
  TaskId,
  TopicSpec,
  Unit,
} from '../../engine/engine.ts'
import type { EventRecord, StoredEvent } from '../../event/event.ts'
import { limits } from '../../limits.ts'
import type { SuitePlatform } from './suite-platform.ts'
import { TestMember } from './test-member.ts'

/** One `publish` call: what goes where. All of it stands or falls together. */
export type Call = readonly {
  readonly topic: string
  readonly partition: number
  readonly records: readonly EventRecord[]
}[]

/** What one batch of a group came to, made even. */
export interface Appended {
  readonly offsets: readonly number[]
  readonly duplicates: readonly number[]
}

export interface UnitParts {
  readonly appends?: readonly AppendBatch[]
  readonly state?: readonly StateChanges[]
  readonly logId?: string
}

/** An engine with the few phrases the tests are written in. */
export class Instance {
  readonly engine: Engine
  readonly platform: SuitePlatform
  readonly member: string
  #failures = 0

  constructor(engine: Engine, platform: SuitePlatform, member: string) {
    this.engine = engine
    this.platform = platform
    this.member = member
  }

  /** How many failed calls this publisher was told of (P2). */
  get failures(): number {
    return this.#failures
  }

  async open(): Promise<void> {
    const { platform, member, engine } = this
    await engine.open({ platform, member, durability: engine.facts.durability[0]! })
  }

  /** Topics with what a test cares about; without any, the topic `orders` with one partition. */
  async declare(...topics: readonly Partial<TopicSpec>[]): Promise<void> {
    const dedup = this.engine.facts.dedup === 'topic'
    await this.engine.declareTopics(
      (topics.length === 0 ? [{}] : topics).map((topic) => ({
        name: 'orders',
        partitions: 1,
        dedupWindowMs: dedup ? limits.dedupWindowMsDefault : 0,
        ...topic,
      })),
    )
  }

  /** One call with one batch; rejects with its failure. */
  async publish(
    records: readonly EventRecord[],
    { topic = 'orders', partition = 0, fresh = false } = {},
  ): Promise<Appended> {
    const batch: AppendBatch = { topic, partition, records, callOf: undefined, fresh }
    const result = await this.append({ calls: 1, batches: [batch], failuresSeen: this.failures })
    for (const failure of result.failures.values()) throw failure
    return appendedOf(result, 0, records.length)
  }

  /** Several calls in one group, merged by partition as a publisher does it. */
  async publishCalls(calls: readonly Call[], failuresSeen = this.failures): Promise<AppendResult> {
    return await this.append(groupOf(calls, failuresSeen))
  }

  async append(group: AppendGroup): Promise<AppendResult> {
    const result = await this.engine.append(group, { durability: this.engine.facts.durability[0]! })
    this.#failures += result.failures.size
    return result
  }

  /** Everything from `from` to the end, in reads of at most `maxEvents`. */
  async readAll(
    topic = 'orders',
    partition = 0,
    from?: number,
    maxEvents: number = limits.readEventsMax,
  ): Promise<readonly StoredEvent[]> {
    const events: StoredEvent[] = []
    let offset = from ?? (await this.engine.bounds(topic))[partition]!.earliest
    for (;;) {
      const read = { topic, partition, offset, maxEvents, maxBytes: limits.readBytesMax }
      const { events: some, next, end } = await this.engine.read(read)
      events.push(...some)
      if (next === end) return events
      assert.ok(next > offset, `a read at ${offset} of ${end} goes on`)
      offset = next
    }
  }

  async ids(topic = 'orders', partition = 0): Promise<readonly string[]> {
    return (await this.readAll(topic, partition)).map(({ id }) => id)
  }

  async join(group: string, topics: Record<string, number>, leaseMs = 10_000): Promise<TestMember> {
    const member = new TestMember(this.member, group)
    member.membership = await this.engine.join(
      {
        group,
        topics: Object.entries(topics).map(([topic, partitions]) => ({ topic, partitions })),
        leaseMs,
        report: () => member.report,
      },
      member,
    )
    return member
  }

  /** Joins for one topic and waits for the lease of its first partition. */
  async lease(group = 'billing', topic = 'orders', partitions = 1): Promise<Lease> {
    const member = await this.join(group, { [topic]: partitions })
    await member.holds(partitions)
    return member.lease(topic, 0)
  }

  async commit(lease: Lease, from: number | undefined, to: number, parts: UnitParts = {}): Promise<void> {
    await this.engine.commit(this.unit(lease, from, to, parts))
  }

  unit(lease: Lease, from: number | undefined, to: number, parts: UnitParts = {}): Unit {
    return { lease, from, to, logId: this.engine.logId, appends: [], state: [], ...parts }
  }

  async state(task: TaskId, store: string): Promise<Record<string, string>> {
    const entries = await this.engine.scanState({ task, store, after: undefined, limit: 1_000_000 })
    return Object.fromEntries(entries.map(({ key, value }) => [key, value]))
  }
}

export function appendedOf(result: AppendResult, batch: number, count: number): Appended {
  const { firstOffset, offsets, duplicates } = result.batches[batch]!
  return {
    offsets: offsets ?? Array.from({ length: count }, (_, index) => firstOffset + index),
    duplicates: [...(duplicates ?? [])].sort((a, b) => a - b),
  }
}

export function groupOf(calls: readonly Call[], failuresSeen: number): AppendGroup {
  const batches = new Map<
    string,
    { records: EventRecord[]; callOf: number[]; topic: string; partition: number }
  >()
  for (const [call, parts] of calls.entries()) {
    for (const { topic, partition, records } of parts) {
      const name = `${topic}/${partition}`
      const batch = batches.get(name) ?? { topic, partition, records: [], callOf: [] }
      batches.set(name, batch)
      batch.records.push(...records)
      batch.callOf.push(...records.map(() => call))
    }
  }
  return {
    calls: calls.length,
    batches: [...batches.values()].map((batch) => ({ ...batch, fresh: false })),
    failuresSeen,
  }
}
