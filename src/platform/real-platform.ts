import { randomFillSync } from 'node:crypto'
import type { Clock, Platform, Random, Timer, Timers } from './platform.ts'

const timerDelayMaxMs = 2 ** 31 - 1
const randomWordsPerRefill = 256

const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

class RealRandom implements Random {
  readonly #words = new Uint32Array(randomWordsPerRefill)
  #next = randomWordsPerRefill

  uint32(): number {
    if (this.#next === randomWordsPerRefill) {
      randomFillSync(this.#words)
      this.#next = 0
    }
    return this.#words[this.#next++]!
  }

  fraction(): number {
    return this.uint32() / 2 ** 32
  }
}

class RealTimer implements Timer {
  #handle: NodeJS.Timeout

  constructor(delayMs: number, fire: () => void) {
    this.#handle = this.#arm(delayMs, fire)
  }

  #arm(delayMs: number, fire: () => void): NodeJS.Timeout {
    if (delayMs <= timerDelayMaxMs) return setTimeout(fire, delayMs)
    return setTimeout(() => {
      this.#handle = this.#arm(delayMs - timerDelayMaxMs, fire)
    }, timerDelayMaxMs)
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }
}

const realTimers: Timers = {
  after: (delayMs, fire) => new RealTimer(delayMs, fire),
  soon: (fire) => {
    setImmediate(fire)
  },
}

/** The platform of every program that is not a simulation. */
export const realPlatform: Platform = { clock: realClock, random: new RealRandom(), timers: realTimers }
