import type { Row } from '../engine/engine.ts'
import type { EventAttributes } from '../event/event.ts'
import type { PublishAttributes, Topic } from '../event/topic.ts'

/** One event as a handler gets it. The data is this handler's own copy. */
export interface Delivery<T = unknown> extends Readonly<EventAttributes> {
  readonly id: string
  readonly source: string
  readonly type: string
  /** Event time, ms since 1970. */
  readonly time: number
  readonly key: string | null
  readonly data: T
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Append time, ms since 1970. */
  readonly appendTime: number
  /** 1 for the first attempt of this process. */
  readonly attempt: number
  /** `true`: may have been handed out before. `false` is a hint, not a promise (L2). */
  readonly redelivered: boolean
  /** Replay id, or `undefined` for live delivery (R4). */
  readonly replay: string | undefined
  /** The same for every attempt and replay of this event in this group; pass it on to other systems (X3). */
  readonly idempotencyKey: string
  /** Aborted when the attempt times out or the consumer is stopped the hard way. */
  readonly signal: AbortSignal
}

/** The value that belongs to the event's own key, in one named store. */
export interface State<V> {
  get(): Promise<V | undefined>
  set(value: V): Promise<void>
  delete(): Promise<void>
}

/** What goes through here takes effect together with the group's position: all of it, once, or nothing (X1). */
export interface Transaction {
  /**
   * State of the event's key. Needs an event with a key (INVALID_KEY otherwise).
   */
  state<V>(name: string): State<V>
  /** Publishes an event if and only if the unit commits. */
  emit<T>(topic: Topic<T>, data: T, attributes?: PublishAttributes): void
  /**
   * Runs SQL against the user's own tables inside the commit. UNSUPPORTED on engines without SQL. While an event
   * uses SQL, other SQL users of the task wait for its handler.
   */
  query(text: string, params?: readonly unknown[]): Promise<readonly Row[]>
  /** The database driver's own client inside the transaction, for an ORM; after the first `query` or `sql()`. */
  client(): Promise<unknown>
}

/** Handles one event. Throwing (or rejecting) is the only way to fail. */
export type Handler<T> = (event: Delivery<T>, tx: Transaction) => unknown
