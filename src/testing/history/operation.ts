import type { Send, Value } from './log-model.ts'
import type { Calls, CommitCall, OperationName, Replies } from './record.ts'

/** `open`: it never settled. Unknown like `info`, and a hang if its process lived. */
export type Outcome = 'ok' | 'fail' | 'info' | 'open'

type ReplyFor<F extends OperationName> = F extends keyof Replies ? Replies[F] : undefined

/** A producer or consumer session. */
export interface Session {
  readonly node: string
  readonly name: string
}

/**
 * An invoke and what became of it. Times come twice: `Seq`, the place in the merged history, decides what came
 * before what; `T`, milliseconds, measures how long something took.
 */
export class OperationOf<F extends OperationName> {
  readonly f: F
  /** Fields of a lone or completing line are merged in when it settles. */
  call: Calls[F]
  reply: ReplyFor<F> | undefined
  outcome: Outcome = 'open'
  err: string | undefined
  readonly node: string
  readonly proc: string
  readonly session: Session
  readonly i: number
  readonly startSeq: number
  readonly startT: number
  /** Infinity until it settles; an unknown outcome never ends. */
  endSeq = Infinity
  endT = Infinity
  /** What it sent and, per partition, the last value it read: what the graph is made of. */
  sends: readonly Send[] = []
  reads: readonly Value[] = []

  constructor(
    f: F,
    call: Calls[F],
    at: { node: string; proc: string; i: number; t: number },
    session: Session,
    seq: number,
  ) {
    this.f = f
    this.call = call
    this.node = at.node
    this.proc = at.proc
    this.i = at.i
    this.session = session
    this.startSeq = seq
    this.startT = at.t
  }
}

export type Operation = { [F in OperationName]: OperationOf<F> }[OperationName]

/** The position move that an operation asks for, alone or as a part of a transaction. */
export function commitOf(operation: Operation): CommitCall | undefined {
  if (operation.f === 'commit') return operation.call
  return operation.f === 'tx' || operation.f === 'publishMany' ? operation.call.commit : undefined
}
