import type { Platform, Timer } from '../../src/platform/platform.ts'

interface Armed {
  readonly at: number
  readonly order: number
  readonly fire: () => void
}

const startOfTime = 1_700_000_000_000
const turnsPerStep = 8

/** Time stands still until a test says how far it goes. Timers then fire in order, each with room for its echo. */
export class ManualPlatform implements Platform {
  #monotonic = 0
  #wallShift = startOfTime
  #order = 0
  #seed = 1
  readonly #armed = new Set<Armed>()

  readonly clock = {
    now: (): number => this.#monotonic + this.#wallShift,
    monotonic: (): number => this.#monotonic,
  }

  readonly random = {
    uint32: (): number => {
      this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
      return this.#seed
    },
    fraction: (): number => this.random.uint32() / 2 ** 32,
  }

  readonly timers = {
    after: (delayMs: number, fire: () => void): Timer => {
      const armed = { at: this.#monotonic + delayMs, order: this.#order++, fire }
      this.#armed.add(armed)
      return { cancel: () => this.#armed.delete(armed) }
    },
    soon: (fire: () => void): void => {
      setImmediate(fire)
    },
  }

  get armedTimers(): number {
    return this.#armed.size
  }

  shiftWallClock(ms: number): void {
    this.#wallShift += ms
  }

  async advance(ms: number): Promise<void> {
    const until = this.#monotonic + ms
    await this.settle()
    for (;;) {
      const next = [...this.#armed]
        .filter(({ at }) => at <= until)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined) break
      this.#armed.delete(next)
      this.#monotonic = Math.max(this.#monotonic, next.at)
      next.fire()
      await this.settle()
    }
    this.#monotonic = until
    await this.settle()
  }

  /** Lets all promises that can go on go on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < turnsPerStep; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}
