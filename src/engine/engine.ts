import type { EncodedBatch } from '../event/batch-codec.ts'
import type { EventRecord, StoredEvent } from '../event/event.ts'
import type { Platform } from '../platform/platform.ts'
import type { Durability, EngineFacts } from './facts.ts'
import type { EngineStatus } from './status.ts'

/**
 * THE PORT. One engine = a partitioned log, leases, and state that commit together.
 *
 * Written to whoever implements one. The runtime wraps every engine in `guardEngine`, so an engine may assume: it
 * is open, arguments are well-formed and within limits, `close` comes once, nothing is called after it. Everything
 * else is the engine's duty:
 *
 * - Errors are `SemelError`s with an honest `outcome`. What is not known to be harmless is `unknown`.
 * - Foreign errors are translated at the engine's edge; no connection string or password ever gets into a message.
 * - No call hangs for ever: honour `signal`, and give up on your own after a finite time.
 * - Order of `append` calls of one engine instance is the order in the log, per partition (P2).
 * - Features (dedup windows apart) own no tables: they remember through `Unit.state`.
 */
export interface Engine {
  readonly facts: EngineFacts

  /** Opens the storage. Refuses, by name, what cannot keep the asked durability (D7). */
  open(context: EngineContext): Promise<void>
  /** Waits for what is under way, releases everything. */
  close(): Promise<void>

  /** Random identity of this log, made when the storage is created; stored beside every group position (D6). */
  readonly logId: string

  /**
   * Creates missing topics and checks known ones. A declaration that contradicts what is stored (partition count,
   * dedup window switched between on and off) is TOPIC_CONTRADICTION and changes nothing. A changed window length
   * is stored.
   */
  declareTopics(topics: readonly TopicSpec[]): Promise<void>

  /**
   * Appends a group of calls in one durable write. Each call stands or falls alone and whole; see `AppendGroup`.
   * The records are encoded before the first `await`: their owner may change the data as soon as this returns.
   * Rejects only if the fate of the whole group is the same (`not-applied` or `unknown`).
   */
  append(group: AppendGroup, options: AppendOptions): Promise<AppendResult>

  /**
   * Committed events of one partition from `offset` on, at most `maxEvents` and about `maxBytes` (one event is
   * always returned if there is one). Never returns what may still vanish (R1). `offset` may be the end: the
   * result is empty. Below the earliest retained or above the end: OFFSET_OUT_OF_RANGE with both (R3).
   */
  read(request: ReadRequest): Promise<ReadResult>

  /** Earliest retained offset and one past the last, of every partition of a topic, in partition order. */
  bounds(topic: string): Promise<readonly PartitionBounds[]>

  /** First offset whose append time is at or after `time` (R2); the end if there is none. */
  offsetAt(topic: string, partition: number, time: number): Promise<number>

  /**
   * Calls `listener` soon after new events may be readable, with the places if it knows that they are nowhere else.
   * Only a hint: it may come late, twice or for nothing; readers poll as well. Returns the way to stop listening.
   */
  onAppend(listener: AppendListener): () => void

  /**
   * Makes this process a member of a group. The engine then assigns and revokes tasks through `listener`, balanced
   * over all live members, until `leave`.
   */
  join(request: JoinRequest, listener: OwnershipListener): Promise<Membership>

  /** The task's stored position. Called after an assignment and after every outcome that was not `committed`. */
  load(lease: Lease): Promise<TaskPosition>

  /** Committed values of a task's store for `keys`, in their order; `undefined` where there is none. */
  readState(task: TaskId, store: string, keys: readonly string[]): Promise<readonly (string | undefined)[]>

  /** Names of the stores that units of a task have written to, in any order. Those that are empty now may be missing. */
  stores(task: TaskId): Promise<readonly string[]>

  /** Committed entries of one store in key order, after `after` (exclusive). Anyone may read, owner or not. */
  scanState(request: ScanRequest): Promise<readonly StateEntry[]>

  /**
   * Applies a unit whole or not at all, durable at the engine's strongest level. Resolves when it is committed.
   * Otherwise rejects:
   * - FENCED (`not-applied`): the lease's epoch is not the stored one (Z1), checked inside the same atomic step;
   * - POSITION_MISMATCH (`not-applied`): the stored position is not `unit.from`;
   * - any other error with its outcome. After `unknown`, the caller gives the lease back (`Membership.giveBack`), and
   *   whoever has the next one asks `load` before doing anything else.
   */
  commit(unit: Unit): Promise<void>

  /**
   * Opens a transaction for user SQL that ends in `commit(unit)` or `rollback()`. Only where `facts.sql` is set.
   * May wait for other transactions of this process; honours `signal` while waiting.
   */
  begin(lease: Lease, signal: AbortSignal): Promise<UnitTransaction>

  /**
   * One step of moving a topic to another engine, atomic and as durable as a unit. Only where `facts.seals` is set.
   *
   * - `hold`: from this step on, appends to the topic fail with TOPIC_MOVED (retryable, `not-applied`), be they of a
   *   publish (each call by itself) or of a unit; the epoch of every task of the topic, in all groups, grows by one, so
   *   that no unit of an owner from before commits any more (Z1); and nobody is granted one of these tasks.
   * - `renew`: a hold lasts until `forMs` from now. One that has run out ends when somebody appends or acquires, in that
   *   very step, and only then: clocks offer the end of a hold, they never decide whether it was unbroken.
   * - `release`: ends a hold. Nothing happens if there is none of this holder.
   * - `move`: the hold becomes final; TOPIC_MOVED then is not retryable and says `to`. The log can still be read.
   *
   * `renew` and `move` are FENCED if the hold has ended. `hold` is refused with TOPIC_MOVED if another holder has the
   * topic, or it was moved; `hold` and `move` may be repeated by the same holder.
   */
  seal(request: SealRequest): Promise<void>

  /** What is stored, for status displays: one consistent snapshot. */
  status(): Promise<EngineStatus>
}

export interface EngineContext {
  readonly platform: Platform
  /** The level every append must be able to reach; `append` may ask for less. */
  readonly durability: Durability
  /** Name of this process in leases and status. */
  readonly member: string
}

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /** How long an event id is remembered, from first acceptance, on the append clock (N3). 0: no dedup. */
  readonly dedupWindowMs: number
}

/**
 * Several `publish` calls that share one durable write (group commit).
 *
 * Per batch, records are in call order. `callOf[i]` says which call record `i` belongs to; absent means all belong
 * to call 0. A call is atomic across all batches of the group. For each call, in order:
 * - a record whose id is already known in its topic's window (also from earlier in this group) with the same
 *   content is a duplicate: not appended, answered with the first offset (N1);
 * - with other content: the whole call fails with ID_CONFLICT (N2), `index` being the record's index in `records`;
 * - after a failed call, later calls of this group that touch one of its partitions fail with PREDECESSOR_FAILED,
 *   retryable (P2); and so do such calls in groups whose `failuresSeen` is lower than the number of failed calls
 *   this engine instance has reported by then.
 */
export interface AppendGroup {
  readonly calls: number
  readonly batches: readonly AppendBatch[]
  /** How many failed calls the publisher had been told of when it formed this group. */
  readonly failuresSeen: number
}

export interface AppendBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly EventRecord[]
  readonly callOf: readonly number[] | undefined
  /** All ids were generated by this process, so none can be known already: no look-up, only remembering. */
  readonly fresh: boolean
  /** Only in units, and only where `facts.emittedRows` asks for them: the events that come before `records`. */
  readonly rows?: readonly EncodedRow[] | undefined
}

/** Events of one partition as `encodeBatch` makes them. */
export interface EncodedRow extends EncodedBatch {
  readonly count: number
}

export interface AppendOptions {
  readonly durability: Durability
}

export interface AppendResult {
  /** One for each batch of the group, in its order. */
  readonly batches: readonly AppendedBatch[]
  /** Failed calls by call number. All others succeeded. */
  readonly failures: ReadonlyMap<number, Error>
}

export interface AppendedBatch {
  /** Offset of the first record appended; meaningless if none was. Record `i` got `firstOffset + i`, unless: */
  readonly firstOffset: number
  /** Offset of every record, given where duplicates or failed calls make them uneven. */
  readonly offsets: readonly number[] | undefined
  /** Indexes of records that were duplicates. */
  readonly duplicates: ReadonlySet<number> | undefined
}

export interface ReadRequest {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly maxEvents: number
  readonly maxBytes: number
  /**
   * The reader was just told of new events here and looks again when it hears more, or after a while in any case: what
   * the engine has in memory will do, and `end` may be too low.
   */
  readonly isTold?: boolean
}

/** Makes an event's data anew: handlers may change what they are given. */
export type DataCopy = () => unknown

export interface ReadResult {
  readonly events: readonly StoredEvent[]
  /**
   * Event by event, what makes its data anew for a further attempt, where the engine can without a read. The session
   * reads the others again.
   */
  readonly copies?: readonly (DataCopy | undefined)[]
  /** About how much they take as stored, as counted against `maxBytes`. */
  readonly bytes: number
  /** Where the next read starts. Greater than the last offset + 1 where offsets have holes. */
  readonly next: number
  /** One past the last committed offset at the time of the read. */
  readonly end: number
}

/** One partition of one topic. */
export interface Place {
  readonly topic: string
  readonly partition: number
}

/** No places: events may have come anywhere. */
export type AppendListener = (places?: readonly Place[]) => void

export interface PartitionBounds {
  readonly earliest: number
  readonly end: number
}

interface SealStep {
  readonly topic: string
  /** Name of one attempt to move the topic, unique among all. */
  readonly holder: string
}

export type SealRequest =
  | (SealStep & { readonly step: 'hold' | 'renew'; readonly forMs: number })
  | (SealStep & { readonly step: 'release' })
  /** `to`: where the topic is now, for people; without a password. */
  | (SealStep & { readonly step: 'move'; readonly to: string })

/** A task: one partition of one consumer group, read from the log with identity `logId`. */
export interface TaskId {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

/** The right to commit for a task. `epoch` only grows; a unit with an older one is refused (Z1). */
export interface Lease {
  readonly task: TaskId
  readonly epoch: number
}

export interface JoinRequest {
  readonly group: string
  readonly topics: readonly { readonly topic: string; readonly partitions: number }[]
  /** A member that is silent for this long may lose its tasks. Offers takeover; never decides a commit. */
  readonly leaseMs: number
  /** Small figures to show beside this member in the status of other processes; called at each heartbeat. */
  readonly report: () => MemberReport
}

/** What a member tells about itself with each heartbeat. Counts since it joined. */
export interface MemberReport {
  readonly inFlight: number
  readonly retries: number
  readonly handled: number
  readonly commitMs: { readonly p50: number; readonly p99: number }
}

export interface OwnershipListener {
  /** These tasks are now this member's. */
  assigned(leases: readonly Lease[]): void
  /**
   * These tasks go away. `handover`: the owner finishes and commits what is in flight, then resolves, and only
   * then may the engine give the task to another. `lost`: too late; stop at once, commits will be fenced.
   */
  revoked(leases: readonly Lease[], reason: 'handover' | 'lost'): Promise<void>
  /** For whoever shows it: a heartbeat failed with this; `undefined` when one worked again. */
  troubled?(error: Error | undefined): void
}

export interface Membership {
  /** Hands all tasks over (through `revoked`) and leaves. */
  leave(): Promise<void>
  /**
   * Gives up a lease whose last unit has an unknown outcome, without `revoked`. The unit may still be under way, and
   * the position does not tell it from the next one if neither moves it. Whoever is assigned the task next, often
   * this member, has a higher epoch: what is still under way is fenced before anybody loads (U1, Z1).
   */
  giveBack(lease: Lease): void
}

export interface TaskPosition {
  /** Offset of the next event to handle; `undefined` if the group never committed here. */
  readonly position: number | undefined
  /** Identity of the log that the position belongs to; `undefined` with it. */
  readonly logId: string | undefined
}

/**
 * Everything a task wants to make true in one step. All of it exists afterwards, or nothing.
 */
export interface Unit {
  readonly lease: Lease
  /** The position the task loaded or committed last; `undefined` before the first commit. */
  readonly from: number | undefined
  /** The new position; equal to `from` if only state changes. */
  readonly to: number
  /** Identity of the log that the positions belong to (the source's, which may not be the sink's). */
  readonly logId: string
  /** Emitted events. Duplicates by id are left out silently (and counted); a conflict refuses the unit. */
  readonly appends: readonly AppendBatch[]
  readonly state: readonly StateChanges[]
}

/** New values of one store, by column. `undefined` deletes. A key occurs at most once. */
export interface StateChanges {
  readonly store: string
  readonly keys: readonly string[]
  readonly values: readonly (string | undefined)[]
}

export interface StateEntry {
  readonly key: string
  readonly value: string
}

export interface ScanRequest {
  readonly task: TaskId
  readonly store: string
  readonly after: string | undefined
  readonly limit: number
}

export interface SqlStatement {
  readonly text: string
  readonly params: readonly unknown[]
}

/** Rows of a query as plain objects, as the driver gives them. */
export type Row = Record<string, unknown>

/** Rows of a statement, or why it failed; `undefined`: it did not run, since one before it failed. */
export type StatementAnswer = readonly Row[] | Error | undefined

/**
 * A database transaction that holds user SQL and will hold the unit. Used by one event's handler at a time.
 */
export interface UnitTransaction {
  /**
   * Optional. Runs statements in their order, so that `restore` can undo those from any place on. Meant to take one
   * round trip for all, and answers when all are answered, in the same order.
   */
  readonly queryAhead?:
    | ((statements: readonly SqlStatement[]) => Promise<readonly StatementAnswer[]>)
    | undefined
  /** Runs one statement. A failed statement is QUERY_FAILED; the transaction stays usable after `restore`. */
  query(text: string, params: readonly unknown[]): Promise<readonly Row[]>
  /** Marks a point to come back to. It replaces all marks before. */
  mark(): Promise<void>
  /**
   * Undoes everything since the mark; of statements that ran ahead, all from the `from`-th on. Those before it have
   * taken effect as they were answered; if that cannot be had, it fails and the transaction is over.
   */
  restore(from?: number): Promise<void>
  /** Like `Engine.commit`, with the user's statements in the same step. Ends the transaction either way. */
  commit(unit: Unit): Promise<void>
  rollback(): Promise<void>
  /** The driver's own client, for a user's ORM; `undefined` where there is none to share. */
  readonly client: unknown
}
