/** The public door of Semel. Engines have doors of their own: `semel/memory`, `semel/sqlite`, … */
export {
  Bus,
  type ConsumeElsewhere,
  type DeadLettersOptions,
  openBus,
  type PublishOptions,
  type Receipt,
} from './bus.ts'
export type { ConsumeOptions } from './consume-options.ts'
export { type CopyProgress, type CopyResult, type CopyTopicOptions, copyTopic } from './copy-topic.ts'
export type { DeadLetterPlace, DeadLetters, ListDeadLetters } from './dead-letters.ts'
export type { Engine } from './engine/engine.ts'
export type { Durability, EngineFacts } from './engine/facts.ts'
export { type ErrorCode, errorCodes, hasCode, isSemelError, type Outcome, SemelError } from './errors.ts'
export { type EventAttributes, type EventRecord, RawJson, type StoredEvent } from './event/event.ts'
export { partitionOfKey } from './event/partition-of-key.ts'
export type { StandardSchema } from './event/standard-schema.ts'
export { type OutgoingEvent, type PublishAttributes, Topic, type TopicOptions, topic } from './event/topic.ts'
export type { VerifiedPartition } from './features/copy/verify-copy.ts'
export type { DeadLetter } from './features/dead-letter-record.ts'
export type { Proof, Verdict } from './features/guarantees/clause.ts'
export type { GuaranteeCard, JudgedClause } from './features/guarantees/guarantee-card.ts'
export type { MovedTask, MoveProgress, MoveStep } from './features/move/move-plan.ts'
export { limits } from './limits.ts'
export { type MoveResult, type MoveTopicOptions, moveTopic } from './move-topic.ts'
export type { OpenBusOptions, PublishLimits } from './open-bus-options.ts'
export type { Clock, Platform, Random, Timer, Timers } from './platform/platform.ts'
export type { ReadOptions } from './read-topic.ts'
export type { Consumer, OwnedTask, StopOptions } from './runtime/group-consumer.ts'
export type { Delivery, Handler, State, Transaction } from './runtime/handler.ts'
export type { LogEvent } from './runtime/log-reader.ts'
export type { RetryOptions } from './runtime/retry-policy.ts'
export type { Guarantee } from './runtime/task-context.ts'
export type {
  BusStatus,
  GroupSnapshot,
  OutboxSnapshot,
  PartitionSnapshot,
  TaskSnapshot,
  TopicSnapshot,
} from './status.ts'
