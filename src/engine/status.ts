import type { MemberReport } from './engine.ts'

/** What an engine knows about itself, for displays and for programs (`bus.status()`, `semel status`). */
export interface EngineStatus {
  readonly topics: readonly TopicStatus[]
  readonly groups: readonly TaskStatus[]
  readonly members: readonly MemberStatus[]
  /** Figures only this engine has, by name with the unit last, e.g. `{ fileBytes: 123 }`. */
  readonly storage: Readonly<Record<string, number | string>>
  /** Clauses that this very storage does not keep although the engine could. Absent: none. */
  readonly exceptions?: readonly ClauseException[] | undefined
  /** Absent where the engine keeps no outbox. */
  readonly outbox?: OutboxStatus
}

/** Such as a server that runs without fsync, which the user accepted by name (D7). */
export interface ClauseException {
  /** Id of a clause of guarantees.md. */
  readonly clause: string
  readonly why: string
}

export interface OutboxStatus {
  /** Committed events that are not in the log yet. Counted up to 100,000. */
  readonly waitingEvents: number
  /** Milliseconds since the first of them was published; 0 if none waits. */
  readonly oldestMs: number
  /** Events that the log could not take and a person must decide about. Counted up to 100,000. */
  readonly refusedEvents: number
  /** Number and reason of the first of them. */
  readonly refusal: string | undefined
  /** Why the sequencer does not go on, as it said last. */
  readonly problem: OutboxProblem | undefined
}

export interface OutboxProblem {
  readonly code: string
  readonly message: string
  /** ms since 1970 */
  readonly since: number
}

export interface TopicStatus {
  readonly topic: string
  readonly dedupWindowMs: number
  /** Where the topic is now, if it was moved to another engine. */
  readonly movedTo?: string | undefined
  readonly partitions: readonly PartitionStatus[]
}

export interface PartitionStatus {
  readonly earliest: number
  readonly end: number
  /** Events refused as duplicates since the topic was created, by every process. */
  readonly duplicates: number
  /** Append time of the last event, ms since 1970; `undefined` if there never was one. */
  readonly lastAppendTime: number | undefined
}

export interface TaskStatus {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly position: number | undefined
  /** Append time of the event at the position, ms since 1970; `undefined` if the task is at the end. */
  readonly waitingSince: number | undefined
  readonly epoch: number
  /** Member that holds the lease; `undefined` if nobody does. */
  readonly owner: string | undefined
  /** Open dead letters of the task. */
  readonly deadLetters: number
  /** Records of its changelog that this process's copy of its state still lacks. Absent: it is complete, or none is kept. */
  readonly restoring?: number | undefined
}

export interface MemberStatus {
  readonly group: string
  readonly member: string
  readonly report: MemberReport
  /** Milliseconds since its last heartbeat. */
  readonly silentMs: number
}
