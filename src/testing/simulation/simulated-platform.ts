import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock, Platform, Random, Timer, Timers } from '../../platform/platform.ts'
import type { SeededRandom } from '../../platform/seeded-random.ts'
import type { Scheduler } from './scheduler.ts'

/** When every simulated run begins: 2025-01-01. */
const epochMs = 1_735_689_600_000

export interface PlatformOptions {
  /** Unique in the run; it also names the streams of chance. */
  readonly name: string
  readonly scheduler: Scheduler
  /** Timers fire up to this much later than asked, as on a busy machine. */
  readonly latenessMsMax: number
  /** One turn of the event loop takes up to this long. 0: callbacks of one moment keep their order. */
  readonly turnMsMax: number
}

/**
 * One simulated process: clock, chance and timers of whatever runs on it.
 *
 * It is RUNNING, PAUSED or DEAD. While it is paused nothing fires, and time goes on without it (SIGSTOP); what came
 * due fires after `resume`, late. A dead one never runs a step again (SIGKILL): promises that waited for one of its
 * timers stay open for ever, as those of a killed process do.
 */
export class SimulatedPlatform implements Platform {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly timers: Timers
  readonly #scheduler: Scheduler
  readonly #jitter: SeededRandom
  readonly #latenessMsMax: number
  readonly #turnMsMax: number
  #phase: 'running' | 'paused' | 'dead' = 'running'
  #held: (() => void)[] = []
  #wallShiftMs = epochMs
  #lastTurnMs = 0

  constructor({ name, scheduler, latenessMsMax, turnMsMax }: PlatformOptions) {
    this.name = name
    this.#scheduler = scheduler
    this.#latenessMsMax = latenessMsMax
    this.#turnMsMax = turnMsMax
    this.#jitter = scheduler.stream(`timers of ${name}`)
    this.random = scheduler.stream(`chance of ${name}`)
    this.clock = {
      now: () => Math.floor(scheduler.nowMs + this.#wallShiftMs),
      monotonic: () => scheduler.nowMs,
    }
    this.timers = {
      after: (delayMs, fire) => this.#after(delayMs, fire),
      soon: (fire) => this.#soon(fire),
    }
  }

  get isRunning(): boolean {
    return this.#phase === 'running'
  }

  get isDead(): boolean {
    return this.#phase === 'dead'
  }

  pause(): void {
    if (this.#phase === 'running') this.#phase = 'paused'
  }

  resume(): void {
    if (this.#phase !== 'paused') return
    this.#phase = 'running'
    for (const fire of this.#held.splice(0)) this.#scheduler.after(0, () => this.#fire(fire))
  }

  kill(): void {
    this.#phase = 'dead'
    this.#held = []
  }

  /** Moves the wall clock, either way. The monotonic one never jumps. */
  jumpClock(byMs: number): void {
    this.#wallShiftMs += byMs
  }

  // Node, too, fires no timer in less than a millisecond.
  #after(delayMs: number, fire: () => void): Timer {
    let cancelled = false
    const lateMs = this.#jitter.fraction() * this.#latenessMsMax
    const timer = this.#scheduler.after(Math.max(1, delayMs) + lateMs, () => {
      this.#fire(() => {
        if (!cancelled) fire()
      })
    })
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      },
    }
  }

  /** Turns take time, so that a process which only ever turns does not stop the clock; they keep their order. */
  #soon(fire: () => void): void {
    const turnMs = this.#jitter.fraction() * this.#turnMsMax
    this.#lastTurnMs = Math.max(this.#lastTurnMs, this.#scheduler.nowMs + turnMs)
    this.#scheduler.after(this.#lastTurnMs - this.#scheduler.nowMs, () => this.#fire(fire))
  }

  #fire(fire: () => void): void {
    if (this.#phase === 'running') fire()
    else if (this.#phase === 'paused') this.#held.push(AsyncLocalStorage.bind(fire))
  }
}
