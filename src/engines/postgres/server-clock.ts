import type { Clock } from '../../platform/platform.ts'

/**
 * What the server's clock probably shows. Good enough to decide what is inside a window of days, and whoever writes
 * says by which time it decided: the server refuses what is a second or more off, and then we know better.
 */
export class ServerClock {
  readonly #clock: Clock
  #serverMs = 0
  #notedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(serverMs: number): void {
    this.#serverMs = serverMs
    this.#notedAt = this.#clock.monotonic()
  }

  now(): number {
    return Math.floor(this.#serverMs + this.#clock.monotonic() - this.#notedAt)
  }
}
