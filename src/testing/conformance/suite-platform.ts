import type { Platform, Timer } from '../../platform/platform.ts'
import { realPlatform } from '../../platform/real-platform.ts'

/** What all engines of one test share: how far their wall clocks are from the real one. */
export interface WallShift {
  ms: number
}

const momentMs = 5

/**
 * The real platform, except that the wall clock can be moved and the timers can be frozen. A process whose timers
 * are frozen is one that the operating system does not run: it sends no heartbeat and notices nothing (F6). Waits of a
 * moment go on, so that a call which is made all the same may ask its storage again.
 */
export class SuitePlatform implements Platform {
  readonly #shift: WallShift
  readonly #late: (() => void)[] = []
  #frozen = false

  readonly random = realPlatform.random
  readonly clock = {
    now: (): number => realPlatform.clock.now() + this.#shift.ms,
    monotonic: (): number => realPlatform.clock.monotonic(),
  }
  readonly timers = {
    after: (delayMs: number, fire: () => void): Timer => this.#after(delayMs, fire),
    soon: (fire: () => void): void => realPlatform.timers.soon(fire),
  }

  constructor(shift: WallShift) {
    this.#shift = shift
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    for (const fire of this.#late.splice(0)) fire()
  }

  #after(delayMs: number, fire: () => void): Timer {
    let cancelled = false
    const fireUnlessCancelled = (): void => {
      if (!cancelled) fire()
    }
    const timer = realPlatform.timers.after(delayMs, () => {
      if (this.#frozen && delayMs > momentMs) this.#late.push(fireUnlessCancelled)
      else fire()
    })
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }
}
