import type { Attempt } from './attempt.ts'
import type { Slot } from './slot.ts'

export interface RunningAttempt {
  readonly slot: Slot
  readonly attempt: Attempt
}

/** The attempts that run now. Each slot knows its place, so one that ends is found without a map. */
export class RunningAttempts {
  #slots: Slot[] = []
  #attempts: Attempt[] = []

  get size(): number {
    return this.#slots.length
  }

  add(slot: Slot, attempt: Attempt): void {
    slot.runningAt = this.#slots.length
    this.#slots.push(slot)
    this.#attempts.push(attempt)
  }

  /** Whether it was there. The last one takes its place. */
  remove(slot: Slot): boolean {
    const at = slot.runningAt
    if (at < 0) return false
    const last = this.#slots.pop()!
    const attempt = this.#attempts.pop()!
    if (last !== slot) {
      this.#slots[at] = last
      this.#attempts[at] = attempt
      last.runningAt = at
    }
    slot.runningAt = -1
    return true
  }

  /** As they are now, so that they may end meanwhile. */
  list(): RunningAttempt[] {
    return this.#slots.map((slot, i) => ({ slot, attempt: this.#attempts[i]! }))
  }

  takeAll(): RunningAttempt[] {
    const all = this.list()
    for (const { slot } of all) slot.runningAt = -1
    this.#slots = []
    this.#attempts = []
    return all
  }
}
