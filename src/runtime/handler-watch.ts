import type { EventTransaction } from './event-transaction.ts'
import type { Slot } from './slot.ts'

/** How a handler ended; `failure` is absent if it succeeded. */
export type HandlerEnd = (slot: Slot, tx: EventTransaction, failure: { error: unknown } | undefined) => void

/**
 * Waits for one handler after the other. A dispatcher has as many as handlers run at once, so that no functions are made
 * for each event.
 */
export class HandlerWatch {
  readonly #idle: HandlerWatch[]
  readonly #onEnd: HandlerEnd
  #slot: Slot | undefined
  #tx: EventTransaction | undefined
  readonly #succeeded = (): void => this.#end(undefined)
  readonly #failed = (error: unknown): void => this.#end({ error })

  /** `idle`: where it goes when its handler has ended. */
  constructor(idle: HandlerWatch[], onEnd: HandlerEnd) {
    this.#idle = idle
    this.#onEnd = onEnd
  }

  /** Also a handler that returns at once ends in a later microtask: no recursion, one code path. */
  await(result: unknown, slot: Slot, tx: EventTransaction): void {
    this.#slot = slot
    this.#tx = tx
    Promise.resolve(result).then(this.#succeeded, this.#failed)
  }

  #end(failure: { error: unknown } | undefined): void {
    const slot = this.#slot!
    const tx = this.#tx!
    this.#slot = undefined
    this.#tx = undefined
    this.#idle.push(this)
    this.#onEnd(slot, tx, failure)
  }
}
