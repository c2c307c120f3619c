import type { SeededRandom } from '../../src/platform/seeded-random.ts'
import type { Storage } from './storage.ts'
import type { WorkerPool } from './worker-pool.ts'

/** So many faults make a period, in which only some kinds of them are made. */
const faultsPerPeriod = 5

type Fault = (slot: number) => Promise<void>

/**
 * Makes faults by the rules of Jepsen's nemesis: each period has its own subset of kinds, one in four has none, so
 * that there is progress, and every fault heals before the next. A worker's and a storage's may be on at once.
 */
export class Nemesis {
  /** How often each kind was made. */
  readonly made: Record<string, number> = {}
  readonly #random: SeededRandom
  readonly #slots: number
  readonly #ofWorkers: Readonly<Record<string, Fault>>
  readonly #ofStorage: Readonly<Record<string, Fault>>
  #round = 0
  #chosen: readonly string[]

  constructor(random: SeededRandom, slots: number, workers: WorkerPool, storage: Storage) {
    this.#random = random
    this.#slots = slots
    this.#ofWorkers = {
      kills: (slot) => workers.kill(slot),
      pauses: (slot) => workers.pause(slot),
      restarts: (slot) => workers.restart(slot),
    }
    this.#ofStorage = storage.faults
    // The first period has all kinds, so that a short run meets some of each sort, too.
    this.#chosen = this.#kinds
  }

  /** The kinds that were never made: a run without them proves less than it says. */
  get missing(): string[] {
    return this.#kinds.filter((kind) => this.made[kind] === undefined)
  }

  get #kinds(): string[] {
    return [...Object.keys(this.#ofWorkers), ...Object.keys(this.#ofStorage)]
  }

  async next(): Promise<void> {
    if (++this.#round % faultsPerPeriod === 0) this.#choose()
    await Promise.all([this.#make(this.#ofWorkers), this.#make(this.#ofStorage)])
  }

  #choose(): void {
    const quiet = this.#random.below(4) === 0
    this.#chosen = quiet ? [] : this.#kinds.filter(() => this.#random.below(2) === 0)
  }

  /** One of the chosen kinds, those that were made least before others; now and then none. */
  async #make(faults: Readonly<Record<string, Fault>>): Promise<void> {
    const open = Object.keys(faults).filter((kind) => this.#chosen.includes(kind))
    if (open.length === 0 || this.#random.below(4) === 0) return
    const times = (kind: string): number => this.made[kind] ?? 0
    const least = Math.min(...open.map(times))
    const rare = open.filter((kind) => times(kind) === least)
    const kind = rare[this.#random.below(rare.length)]!
    this.made[kind] = times(kind) + 1
    await faults[kind]!(this.#random.below(this.#slots))
  }
}
