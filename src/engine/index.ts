/** The door for who writes an engine: the port, and the parts of it that every engine shares. */

export { assert, SemelError } from '../errors.ts'
export { decodeBatch, decodeStored, type EncodedBatch, encodeBatch } from '../event/batch-codec.ts'
export type { EventRecord, StoredEvent } from '../event/event.ts'
export { fingerprint } from '../event/fingerprint.ts'
export type { Clock, Platform } from '../platform/platform.ts'
export {
  type AppendLookup,
  type AppendPlan,
  type BatchPlan,
  type Content,
  type KnownEvent,
  type PlannedBatch,
  type PlannedGroup,
  planAppend,
} from './append-plan.ts'
export type * from './engine.ts'
export type { Durability, EngineFacts } from './facts.ts'
export { LeaseBalancer, type LeaseBalancerOptions } from './lease-balancer.ts'
export type { GroupView, LeaseRow, LeaseTable } from './lease-table.ts'
export type * from './status.ts'
export { storeNames } from './store-names.ts'
export { changedSeal, obstacleOf, type SealChange, type TopicSeal } from './topic-seal.ts'
