/** A claim holds so many events where a commit is quick. */
export const claimEventsMin = 64
/** A crash loses what was claimed and not handled: never more than this of a partition. */
export const claimEventsMax = 1_024

/**
 * How many events at-most-once claims at a time (A1). What is claimed and not handled is lost in a crash, so little is;
 * but where a commit takes longer than the handlers of a whole claim, they would wait most of the time, so a claim grows until
 * both take as long.
 */
export class ClaimSize {
  #events = claimEventsMin
  #tookMs = 0
  #grantedMs = 0
  #wasFull = false

  get events(): number {
    return this.#events
  }

  /** A claim of so many events, asked for at `askedMs`, is durable. Times are on the monotonic clock. */
  granted(events: number, askedMs: number, nowMs: number): void {
    this.#tookMs = nowMs - askedMs
    this.#grantedMs = nowMs
    this.#wasFull = events >= this.#events
  }

  /** All that was claimed has begun, and the next claim is about to be read. */
  begun(nowMs: number): void {
    if (!this.#wasFull) return
    this.#wasFull = false
    const begunMs = nowMs - this.#grantedMs
    if (begunMs < this.#tookMs) this.#events = Math.min(claimEventsMax, this.#events * 2)
    else if (begunMs > 2 * this.#tookMs) this.#events = Math.max(claimEventsMin, this.#events / 2)
  }
}
