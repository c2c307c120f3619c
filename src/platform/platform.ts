/**
 * The only door through which time, chance and timers enter Semel.
 *
 * Nothing else in the library touches `Date`, `Math.random` or `setTimeout`: whoever replaces the platform
 * (the simulator does) decides every tick and every random bit, so one seed repeats a whole run.
 */
export interface Platform {
  readonly clock: Clock
  readonly random: Random
  readonly timers: Timers
}

export interface Clock {
  /** Wall-clock time in milliseconds since 1970. May jump either way; never used to decide who owns what. */
  now(): number
  /** Milliseconds since an arbitrary start. Never steps back. Used for deadlines, ages and leases. */
  monotonic(): number
}

export interface Random {
  /** A uniform integer from 0 to 2^32 - 1. Unpredictable on the real platform, seeded in simulation. */
  uint32(): number
  /** A uniform number from 0 (included) to 1 (excluded). */
  fraction(): number
}

export interface Timers {
  /**
   * Calls `fire` once after `delayMs`. Delays of 2^31 ms and more are chained, because Node would fire them
   * after 1 ms (faults.md G9).
   */
  after(delayMs: number, fire: () => void): Timer
  /** Calls `fire` in a coming turn of the event loop, after pending I/O had its chance. */
  soon(fire: () => void): void
}

export interface Timer {
  cancel(): void
}
