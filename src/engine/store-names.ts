/**
 * State stores that Semel's own features keep. User stores cannot begin with this prefix.
 */
export const reservedStorePrefix = 'semel.'

export const storeNames = {
  /** Offsets finished above the position, so that a restart does not run them again. */
  finished: 'semel.finished',
  /** Dead letters by padded offset. */
  deadLetters: 'semel.dead',
  /** Position in the group's redrive topic. */
  redrive: 'semel.redrive',
  /** The last event of the source that the position has passed, where position and log are stored apart (D6). */
  sourceMark: 'semel.source-mark',
  /** How far events were handed to handlers, for the `redelivered` hint (L2). */
  handedOut: 'semel.handed-out',
  /** Ids that the group has accepted within its window (N7). */
  inbox: 'semel.inbox',
  /** That a topic is on its way here and no group may begin; of the tasks of the group that copies. */
  moving: 'semel.moving',
  /** What keeps the outbox's sequencer from going on. */
  outbox: 'semel.outbox',
} as const

/**
 * Moving events out of an engine's outbox is a task like any other: whoever holds its lease does it, and the position
 * counts the events that were moved.
 */
export const outboxTask = {
  group: 'semel.outbox',
  topic: 'semel.outbox',
  partition: 0,
  /** In the store `semel.outbox`. */
  problemKey: 'problem',
} as const
