import type { SeededRandom } from '../../platform/seeded-random.ts'

/** Every fault that a simulation can have, and what it does. */
export const faultMeanings = {
  delay: 'calls to the storage take up to a second, and overtake each other',
  refuse: 'the storage refuses a call: an error that says not-applied',
  'lost-request': 'a call never reaches the storage: its outcome is unknown, and it did not happen',
  'lost-reply': 'the storage did it and the answer is lost: its outcome is unknown, and it happened',
  'late-request': 'the caller is told unknown, and only then the call reaches the storage',
  'lost-lease': 'heartbeats of a process get lost until its lease has run out',
  wakeups: 'notifications of new events come twice, late, or not at all',
  pause: 'a process stands still for longer than its lease, and goes on as if nothing had been',
  kill: 'a process is killed between two steps; a new one takes its place',
  restart: 'a process stops cleanly; a new one takes its place',
  'storage-crash': 'the storage crashes with calls under way, and comes back with what it holds durably',
  'clock-jump': 'the wall clock of a process jumps forwards or backwards',
} as const

export type FaultName = keyof typeof faultMeanings

export const faultNames: readonly FaultName[] = Object.keys(faultMeanings).filter(isFaultName)

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(faultMeanings, name)
}

/** Which faults are on, and how often each of them struck: a fault that never strikes makes a run void. */
export class FaultBoard {
  readonly #random: SeededRandom
  /** Faults that are on; true once they struck since they were switched on. */
  readonly #on = new Map<FaultName, boolean>()
  readonly #strikes = new Map<FaultName, number>()

  constructor(random: SeededRandom) {
    this.#random = random
  }

  switchOn(name: FaultName): void {
    this.#on.set(name, false)
  }

  switchOff(name: FaultName): void {
    this.#on.delete(name)
  }

  isOn(name: FaultName): boolean {
    return this.#on.has(name)
  }

  heal(): void {
    this.#on.clear()
  }

  /** Whether a fault that is on hits this call. The first one it could hit, it does. */
  strikes(name: FaultName, chance: number): boolean {
    const struck = this.#on.get(name)
    if (struck === undefined) return false
    if (struck && this.#random.fraction() >= chance) return false
    this.#on.set(name, true)
    this.note(name)
    return true
  }

  note(name: FaultName): void {
    this.#strikes.set(name, (this.#strikes.get(name) ?? 0) + 1)
  }

  struck(name: FaultName): number {
    return this.#strikes.get(name) ?? 0
  }
}
