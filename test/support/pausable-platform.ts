import type { Platform, Timer } from '../../src/platform/platform.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'

/** The real platform of a process that can be paused: while it is, no timer fires; afterwards all fire that are due. */
export class PausablePlatform implements Platform {
  readonly clock = realPlatform.clock
  readonly random = realPlatform.random
  #paused = false
  #due: (() => void)[] = []

  readonly timers = {
    after: (delayMs: number, fire: () => void): Timer => {
      let cancelled = false
      const timer = realPlatform.timers.after(delayMs, () => this.#fire(() => !cancelled && fire()))
      return {
        cancel: () => {
          cancelled = true
          timer.cancel()
        },
      }
    },
    soon: (fire: () => void): void => realPlatform.timers.soon(() => this.#fire(fire)),
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    for (const fire of this.#due.splice(0)) fire()
  }

  #fire(fire: () => void): void {
    if (this.#paused) this.#due.push(fire)
    else fire()
  }
}
