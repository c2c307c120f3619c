import type { MemberReport, Row, SealRequest, TaskId, TopicSpec } from '../../engine/engine.ts'
import type { Durability } from '../../engine/facts.ts'
import type { GroupView } from '../../engine/lease-table.ts'
import type { WireError } from './sqlite-errors.ts'

/** What the main thread asks of the writer thread. One request, one reply. */
export type WriteRequest =
  | AppendRequest
  | UnitRequest
  | { readonly op: 'declare'; readonly topics: readonly TopicSpec[] }
  | {
      readonly op: 'heartbeat'
      readonly group: string
      readonly member: string
      readonly leaseMs: number
      readonly report: MemberReport
    }
  | {
      readonly op: 'acquire'
      readonly task: TaskId
      readonly member: string
      readonly leaseMs: number
      readonly observedEpoch: number
    }
  | { readonly op: 'release'; readonly task: TaskId; readonly epoch: number }
  | { readonly op: 'leave'; readonly group: string; readonly member: string }
  | { readonly op: 'seal'; readonly seal: SealRequest }
  | { readonly op: 'status' }

export interface AppendRequest {
  readonly op: 'append'
  readonly calls: number
  readonly failuresSeen: number
  readonly durability: Durability
  readonly batches: readonly WireBatch[]
}

/** A batch, encoded in the rows it will be stored in. */
export interface WireBatch {
  readonly topic: string
  readonly partition: number
  readonly rows: readonly WireRow[]
  readonly callOf: Uint32Array | undefined
  readonly fresh: boolean
}

/** A row's texts as UTF-8, in memory that came with the request. */
export interface WireRow {
  readonly count: number
  readonly head: Uint8Array<ArrayBuffer>
  readonly body: Uint8Array<ArrayBuffer>
}

export interface UnitRequest {
  readonly op: 'unit'
  readonly task: TaskId
  readonly epoch: number
  readonly from: number | undefined
  readonly to: number
  readonly logId: string
  readonly batches: readonly WireBatch[]
  readonly state: readonly WireChanges[]
}

/** State changes of a store by column; `undefined` deletes. */
export interface WireChanges {
  readonly store: string
  readonly keys: readonly string[]
  readonly values: readonly (string | undefined)[]
}

/** Requests of the one open user transaction. While it is open, all other requests wait. */
export type SessionRequest =
  | { readonly op: 'begin' }
  | { readonly op: 'query'; readonly text: string; readonly params: readonly unknown[] }
  | { readonly op: 'mark' }
  | { readonly op: 'restore' }
  | { readonly op: 'finish'; readonly unit: UnitRequest }
  | { readonly op: 'rollback' }

/** Where the events of a batch are. */
export interface WireAppended {
  /** Offset of the first record appended; the others follow it without a gap. Meaningless if none was. */
  readonly firstOffset: number
  /**
   * Records that were not appended, in rising order: index and offset by turns. Of a duplicate it is the offset of
   * the first event, in a failed call -1. A typed array, because it crosses to the main thread as a block of memory.
   */
  readonly exceptions: Float64Array | undefined
}

export interface AppendReply {
  readonly batches: readonly WireAppended[]
  readonly failures: readonly (readonly [call: number, error: WireError])[]
}

/** What only the writer knows, for status. */
export interface WriterFigures {
  readonly dedupIdsInMemory: number
  readonly dedupIds: number
  readonly dedupMemoryBytes: number
  readonly commits: number
  readonly requests: number
}

export type WriteReply = AppendReply | GroupView | WriterFigures | readonly Row[] | number | undefined

/** Messages to the writer. `session` is set for requests of an open user transaction. */
export interface ToWriter {
  readonly id: number
  /** Wall clock of the platform when the request was made: the append clock, so that a simulated one counts too. */
  readonly now: number
  readonly session: number | undefined
  readonly request: WriteRequest | SessionRequest | { readonly op: 'close' }
}

/** One message answers all requests of a transaction. */
export type FromWriter = readonly WriterAnswer[]

export interface WriterAnswer {
  readonly id: number
  readonly reply?: WriteReply
  readonly error?: WireError
}

export interface WriterOptions {
  readonly file: string
  readonly lockWaitMs: number
}

/** First message from the writer: the file is open, or why not. */
export interface WriterReady {
  readonly ready: true
  readonly logId?: string
  readonly hasMarks?: boolean
  readonly error?: WireError
}
