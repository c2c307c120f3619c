/**
 * What a history is made of: one JSON line for each event (faults.md 3.1), after Jepsen's histories.
 *
 * An operation has two lines, `invoke` before the call and `ok`, `fail` or `info` after it. `ok` is written only on
 * a definite yes and `fail` only for NotApplied (U1); everything else is `info`: it may have happened, may happen
 * later, or never. Lines that tell of one moment, such as a fault going on, are `info` alone.
 */

/** `fail` means NotApplied (U1). What is not known is `info`. */
export type Settled = 'ok' | 'fail' | 'info'

export interface Envelope {
  /** Running number within the recorder's file. */
  readonly i: number
  /** Monotonic milliseconds, of one clock for all processes of a host. */
  readonly t: number
  /** The recording process. One recorder each. */
  readonly node: string
  /** Logical client. After an `info` it is never used again: its operation stays open for ever (Jepsen's rule). */
  readonly proc: string
  /** Producer or consumer session. Order of sends and polls is judged within one. */
  readonly sess: string
  /** On a settling line: `i` of the invoke. Absent: the process's open operation of that kind. */
  readonly of?: number | undefined
  readonly err?: string | undefined
}

/** One event as it is sent. `val` is unique in a run; a retry sends the same `val` under the same `id`. */
export interface Sent {
  readonly topic: string
  readonly key: string | null
  /** `null`: published without an id, so a retry may double it. */
  readonly id: string | null
  readonly val: string
  /** CRC of the payload as its writer computed it. */
  readonly crc?: number | undefined
  /** Amount the event carries, for the ledger. Absent: 1. */
  readonly n?: number | undefined
}

export interface Placed {
  readonly p: number
  readonly off: number
  /** The reply said that the event was there already. */
  readonly dup?: boolean | undefined
}

/** `[offset, id, val, crc, key]`; crc is what the reader computed over the bytes it got. */
export type PolledRecord = readonly [
  off: number,
  id: string | null,
  val: string,
  crc?: number | null,
  key?: string | null,
]

export interface Polled {
  /** By partition. */
  readonly recs: Readonly<Record<string, readonly PolledRecord[]>>
}

export interface Task {
  readonly g: string
  readonly topic: string
  readonly p: number
}

/** Something a group's owner does about one offset. Replays have names, so that their units are others (C0, R4). */
interface TaskStep extends Task {
  readonly off: number
  readonly epoch?: number | undefined
  readonly replay?: string | undefined
}

/** `off` is the new position: every offset below it is settled (L1). */
export type CommitCall = TaskStep

export interface HandleCall extends TaskStep {
  readonly id?: string | null | undefined
  readonly key?: string | null | undefined
  readonly attempt?: number | undefined
}

/** `err` of a `fail`ed handle whose event is now due for the dead letters: later events of its key may pass it (O2). */
export const givenUp = 'GIVEN_UP'

export interface DeadLetterCall extends TaskStep {
  readonly id?: string | null | undefined
}

/** One effect as the sink holds it: written in the sink's own transaction, recorded in the sink's commit order. */
export interface EffectCall extends TaskStep {
  readonly sink: string
  readonly key?: string | null | undefined
  readonly n?: number | undefined
  /** Place in the sink's commit order, where the order of the lines does not tell it. */
  readonly seq?: number | undefined
  /** Idempotency key of the HTTP request that caused it. */
  readonly http?: string | undefined
}

export type MicroCall = ({ readonly f: 'send' } & Sent) | { readonly f: 'poll'; readonly topic: string }

export interface BatchCall {
  readonly micro: readonly MicroCall[]
  /** The group position that moves in the same transaction. */
  readonly commit?: CommitCall | undefined
}

export interface BatchReply {
  /** One for each of the call's, in its order. */
  readonly micro: readonly (Placed | Polled)[]
}

interface Deadline {
  /** The call's own deadline, if it has one (U3). */
  readonly deadlineMs?: number | undefined
}

export interface Calls {
  publish: Sent & Deadline
  publishMany: BatchCall & Deadline
  tx: BatchCall & Deadline
  poll: { readonly topic: string; readonly g?: string | undefined } & Deadline
  handle: HandleCall
  commit: CommitCall & Deadline
  dlq: DeadLetterCall & Deadline
  effect: EffectCall
  acquire: Task & { readonly epoch?: number | undefined }
  renew: Task & { readonly epoch?: number | undefined }
  scan: {
    readonly topic: string
    readonly p: number
    readonly from: number
    readonly to: number
    readonly hash?: string | undefined
    readonly count?: number | undefined
  }
  open: {
    readonly topic: string
    readonly p: number
    /** One past the last offset the opened log holds. */
    readonly end?: number | undefined
    readonly logId?: string | undefined
    /** Bytes of a torn tail that were cut off. */
    readonly torn?: number | undefined
  }
  recovered: Calls['open']
  http: {
    readonly key: string
    /** Keys are scoped by route and credential (H1). */
    readonly scope?: string | undefined
    readonly status?: number | undefined
    readonly bodyHash?: string | undefined
    readonly topic?: string | undefined
    readonly p?: number | undefined
    readonly off?: number | undefined
  } & Deadline
  /** What the sink says at the end about one key. */
  ledger: {
    readonly sink: string
    readonly g: string
    readonly topic: string
    readonly key: string | null
    readonly sum?: number | undefined
    readonly count?: number | undefined
    readonly min?: number | undefined
    readonly max?: number | undefined
  }
}

/** What a settling line adds. Kinds that are not here may repeat or complete their call's fields. */
export interface Replies {
  publish: Placed
  publishMany: BatchReply
  tx: BatchReply
  poll: Polled
}

export type OperationName = keyof Calls
export type ReplyOf<F extends OperationName> = F extends keyof Replies ? Replies[F] : Partial<Calls[F]>

/** Lines about one moment. */
export interface Notes {
  /** The session got a partition; where its next poll starts says nothing about skips. */
  assign: { readonly topic: string; readonly p: number; readonly g?: string | undefined }
  revoke: Notes['assign']
  /** The session, and the group if one is named, was told to go elsewhere. */
  seek: { readonly topic: string; readonly p: number; readonly g?: string | undefined }
  replay: Notes['seek']
  lose: Task & { readonly epoch?: number | undefined }
  /** Declared retention: offsets below `earliest` are gone, and rightly so. */
  retained: { readonly topic: string; readonly p: number; readonly earliest: number }
  fault: { readonly name: string; readonly state: 'on' | 'off'; readonly args?: unknown }
  /** `heal`: all faults were undone. `final`: the final reads are done. */
  phase: { readonly name: 'heal' | 'final' }
  /** A process was killed: its open operations are unknown, none of them hangs. */
  died: { readonly node: string }
}

export type NoteName = keyof Notes

export type InvokeEvent = {
  [F in OperationName]: Envelope & { readonly type: 'invoke'; readonly f: F; readonly v: Calls[F] }
}[OperationName]

export type SettledEvent = {
  [F in OperationName]: Envelope & {
    readonly type: Settled
    readonly f: F
    readonly v?: ReplyOf<F> | undefined
  }
}[OperationName]

export type NoteEvent = {
  [F in NoteName]: Envelope & { readonly type: 'info'; readonly f: F; readonly v: Notes[F] }
}[NoteName]

export type HistoryEvent = InvokeEvent | SettledEvent | NoteEvent

const noteNames: Readonly<Record<NoteName, true>> = {
  assign: true,
  revoke: true,
  seek: true,
  replay: true,
  lose: true,
  retained: true,
  fault: true,
  phase: true,
  died: true,
}

export function isNote(event: HistoryEvent): event is NoteEvent {
  return event.f in noteNames
}

/** The history itself is malformed: nothing can be said about the system that it tells of. */
export class HistoryFormatError extends Error {
  override readonly name = 'HistoryFormatError'
  readonly line: number

  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`)
    this.line = line
  }
}
