import type { Bus } from '../../../bus.ts'
import type { AnyTopic, OutgoingEvent } from '../../../event/topic.ts'

/** What a handler may use of its simulated process. Real timers, files and sockets do not exist there. */
export interface ProcessTools {
  /** Unique in a run; the process that takes the place of a killed one has another. */
  readonly name: string
  /** Wall-clock time of this process, ms since 1970. */
  now(): number
  sleep(ms: number): Promise<void>
  /**
   * A call to something outside of Semel, such as a payment service. `work` is that service's side: it happens once the
   * call arrives. The process can be killed before and after it, and the answer can get lost: then this rejects
   * with ENGINE_UNAVAILABLE and outcome `unknown`, although it happened.
   */
  call<T>(name: string, work: () => T | Promise<T>): Promise<T>
}

/** A program to be run under faults: what comes in, what handles it, and what it leaves behind. */
export interface Scenario {
  /** Every topic of the program, as for `openBus`. */
  readonly topics: readonly AnyTopic[]
  /** Published in this order. A publish without an answer is repeated under its id (U2). */
  readonly events: readonly OutgoingEvent[]
  /** Starts the consumers of one process. What it declares inside is lost with the process, as it really is. */
  readonly consume: (bus: Bus, process: ProcessTools) => unknown
  /** Called before each run: forget what the run before did outside of Semel. */
  readonly reset?: (() => void) | undefined
  /** What the handlers did outside of Semel, as plain data, when everything was handled. */
  readonly outside?: (() => unknown) | undefined
  /** Looks at what a run left behind, and throws if that is not as it should be. */
  readonly verify?: ((outcome: Outcome) => void | Promise<void>) | undefined
  /** Processes that consume side by side. Default 2. */
  readonly processes?: number | undefined
}

/** What a run leaves behind. Runs of one program differ in order and in ids, so neither is part of it. */
export interface Outcome {
  /** Values by `group/store` and key. */
  readonly state: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Data of all events by topic, sorted. */
  readonly events: Readonly<Record<string, readonly unknown[]>>
  /** `group topic id` of every open dead letter, sorted. */
  readonly deadLetters: readonly string[]
  /** What `outside` answered. */
  readonly outside: unknown
}
