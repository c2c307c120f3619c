import type { Engine, Lease } from '../engine/engine.ts'
import type { AnyTopic } from '../event/topic.ts'
import type { UuidV7Generator } from '../event/uuid-v7.ts'
import type { Platform } from '../platform/platform.ts'
import type { GroupCounters } from './group-counters.ts'
import type { Handler } from './handler.ts'
import type { RetryPolicy } from './retry-policy.ts'
import type { TaskMemory } from './task-memory.ts'

/** at-most-once (A1), at-least-once (L1), exactly-once effects (X1). */
export type Guarantee = 'at-most-once' | 'at-least-once' | 'exactly-once'

/** Where a group begins that never committed. */
export type StartAt = 'earliest' | 'latest' | { readonly time: number }

/** A group's settings after all defaults were filled in. */
export interface GroupSettings {
  readonly group: string
  readonly guarantee: Guarantee
  readonly concurrency: number
  readonly windowEvents: number
  /** How long a unit may fill before it is committed. */
  readonly unitAgeMs: number
  readonly handlerTimeoutMs: number
  readonly retry: RetryPolicy
  readonly startAt: StartAt
  /** How long the group remembers an event's id (N7). 0: not at all. */
  readonly inboxWindowMs: number
  readonly leaseMs: number
  /** Refuse `bus.publish` inside exactly-once handlers. */
  readonly strict: boolean
}

/** Everything the tasks of one group in this process share. */
export interface GroupContext {
  readonly settings: GroupSettings
  readonly handler: Handler<never>
  /** Where events are read. */
  readonly source: Engine
  /** Where position, state and emitted events are committed. Usually the source itself. */
  readonly sink: Engine
  readonly platform: Platform
  readonly counters: GroupCounters
  /** Shared by all groups of the bus. */
  readonly memory: TaskMemory
  /** Topics that may be read, by name. */
  readonly topics: ReadonlyMap<string, AnyTopic>
  /** Topics that handlers may emit to: the sink's. */
  readonly emittable: ReadonlyMap<string, AnyTopic>
  readonly ids: UuidV7Generator
  /** Highest position per task that this process knows to be committed (D6). */
  readonly reached: Map<string, number>
  /** Names of stores that handlers used so far; new tasks prefetch them. */
  readonly storeNames: Set<string>
}

/** One task under one lease. */
export interface TaskContext extends GroupContext {
  readonly lease: Lease
}
