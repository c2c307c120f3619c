import type { Findings } from './findings.ts'
import type { LogModel } from './log-model.ts'
import type { Operation, Session } from './operation.ts'
import type { ResolvedOptions } from './options.ts'
import type { NoteEvent } from './record.ts'

/** What every family of anomalies works with. */
export interface Scene {
  readonly model: LogModel
  readonly options: ResolvedOptions
  readonly findings: Findings
}

/**
 * One family of anomalies. It sees the history once, in order, keeps what it needs by partition, and judges at the
 * end what could not be judged before: whether a call was refused, say, may be known long after its event was read.
 */
export interface Watcher {
  started?(operation: Operation): void
  /** Also called, at the end, for operations that stayed open. */
  settled?(operation: Operation): void
  noted?(note: NoteEvent, session: Session): void
  /** `t`: time of the last line. */
  finish?(end: { readonly t: number }): void
}
