import type { Platform, Timer } from '../platform/platform.ts'

/** Whether new events are known to be where the sleeper looks, or may be anywhere, if there are any. */
export type RingCause = 'here' | 'anywhere'

/**
 * A wait that ends early when somebody rings. A ring with nobody waiting is remembered, so none is lost.
 */
export class Wake {
  readonly #platform: Platform
  #rung: RingCause | undefined
  #resolve: (() => void) | undefined
  #timer: Timer | undefined

  constructor(platform: Platform) {
    this.#platform = platform
  }

  ring(cause: RingCause = 'anywhere'): void {
    if (this.#rung !== 'anywhere') this.#rung = cause
    this.#finish()
  }

  /**
   * Resolves at the next ring, or after `maxMs`, which may have any cause. At most one caller may wait at a time.
   */
  async wait(maxMs: number): Promise<RingCause> {
    if (this.#rung === undefined) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
        this.#timer = this.#platform.timers.after(maxMs, () => this.#finish())
      })
    }
    const cause = this.#rung ?? 'anywhere'
    this.#rung = undefined
    return cause
  }

  #finish(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const resolve = this.#resolve
    this.#resolve = undefined
    resolve?.()
  }
}
