/** Statements in one round trip: at most, and before it is known how long theirs take. */
const togetherMax = 128
const togetherFirst = 16
/** A round trip that takes longer carries fewer the next time: nobody who is in it can go on before it ends. */
const roundTripMsMax = 1_000

/** How many statements of a task's handlers are sent together. */
export class StatementsTogether {
  #next = togetherFirst
  /** Whether nobody of those sent together has run another statement or failed. */
  #isSmooth = true

  get next(): number {
    return this.#next
  }

  sent(): void {
    this.#isSmooth = true
  }

  /** All who were sent together had their turns. */
  ended(count: number, roundTripMs: number): void {
    if (roundTripMs > roundTripMsMax) this.#next = Math.max(1, Math.floor(count / 2))
    else if (this.#isSmooth) this.#next = Math.min(togetherMax, this.#next * 2)
  }

  /** Somebody wants more than the first statement, or nothing: as many as got through before are enough. */
  fewer(place: number): void {
    this.#next = Math.max(1, place)
    this.#isSmooth = false
  }
}
