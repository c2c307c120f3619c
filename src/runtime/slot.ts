import type { DataCopy } from '../engine/engine.ts'
import type { StoredEvent } from '../event/event.ts'
import type { EventTransaction } from './event-transaction.ts'
import type { StateCell } from './state-cache.ts'

/**
 * One event's place in a task's window.
 *
 *  READY -> RUNNING  a handler has it
 *  RUNNING -> WAITING  the attempt failed and another one is planned
 *  WAITING -> RUNNING
 *  RUNNING -> DONE  succeeded, or went to the dead letters
 */
export class Slot {
  /** Dropped as soon as it is done, so a stuck neighbour holds no memory. */
  event: StoredEvent | undefined
  /** Makes the event's data anew, if that takes no read. */
  copy: DataCopy | undefined
  /** Its key's state in a store, as far as it was found when the event was read. */
  cell: StateCell | undefined
  readonly offset: number
  readonly key: string | null
  readonly id: string
  readonly appendTime: number
  /** What it holds in memory, until it is done. */
  bytes = 0
  attempt = 0
  done = false
  /** The dispatcher's round when the attempt began. */
  startedRound = 0
  tx: EventTransaction | undefined
  /** Its place among the running attempts; -1: it does not run. */
  runningAt = -1
  /** Set if this is not live traffic but a dead letter on its way back. */
  readonly redrive: Redrive | undefined

  constructor(event: StoredEvent, redrive?: Redrive, copy?: DataCopy, cell?: StateCell) {
    this.event = event
    this.copy = copy
    this.cell = cell
    this.offset = event.offset
    // The same text, whose hash is known already.
    this.key = cell?.key ?? event.key
    this.id = event.id
    this.appendTime = event.appendTime
    this.redrive = redrive
  }
}

/** The command that brought a dead letter back. */
export interface Redrive {
  /** Position in the redrive topic after this command. */
  readonly next: number
  /** Attempts made before it became a dead letter. */
  readonly attemptsBefore: number
}
