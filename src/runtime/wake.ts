import type { Platform, Timer } from '../platform/platform.ts'

/**
 * A wait that ends early when somebody rings. A ring with nobody waiting is remembered, so none is lost.
 */
export class Wake {
  readonly #platform: Platform
  #rung = false
  #resolve: (() => void) | undefined
  #timer: Timer | undefined

  constructor(platform: Platform) {
    this.#platform = platform
  }

  ring(): void {
    this.#rung = true
    this.#finish()
  }

  /** Resolves at the next ring, or after `maxMs`. At most one caller may wait at a time. */
  async wait(maxMs: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
        this.#timer = this.#platform.timers.after(maxMs, () => this.#finish())
      })
    }
    this.#rung = false
  }

  #finish(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const resolve = this.#resolve
    this.#resolve = undefined
    resolve?.()
  }
}
