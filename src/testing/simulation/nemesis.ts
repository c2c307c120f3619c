import type { SeededRandom } from '../../platform/seeded-random.ts'
import type { SimulatedCluster, SimulatedProcess } from './cluster.ts'
import type { FaultName } from './fault-board.ts'

/** One period in four has no faults, so that the system recovers and makes progress (faults.md 2.2). */
const quietShare = 0.25
const clockJumpMsMax = 3_600_000
const downMsMax = 200

/** The processes that faults may hit, and who knows how to replace one. */
export interface Ward<Member extends { readonly process: SimulatedProcess }> {
  readonly members: readonly Member[]
  /** Kills a member, or stops it, and starts the next process of its role soon. */
  replace(member: Member, how: 'kill' | 'stop'): void
}

export interface NemesisOptions<Member extends { readonly process: SimulatedProcess }> {
  readonly cluster: SimulatedCluster
  readonly faults: readonly FaultName[]
  /** What periods are measured by: some are shorter, some outlast it. */
  readonly leaseMs: () => number
  readonly ward: Ward<Member>
}

interface Period {
  readonly faults: readonly FaultName[]
  readonly paused: SimulatedProcess[]
}

/** Switches faults on and off, a random few at a time, until it is told to end. */
export class Nemesis<Member extends { readonly process: SimulatedProcess }> {
  readonly #options: NemesisOptions<Member>
  readonly #random: SeededRandom
  /** Faults that were on at any time: each must have struck, or the run is void. */
  readonly planned = new Set<FaultName>()
  /** Faults that are on and have not struck yet, though their period is over. */
  readonly #waiting = new Set<FaultName>()
  #ended = false
  #periods = 0

  constructor(options: NemesisOptions<Member>) {
    this.#options = options
    this.#random = options.cluster.scheduler.stream('nemesis')
  }

  /** Periods that are over. */
  get periods(): number {
    return this.#periods
  }

  async work(): Promise<void> {
    const { scheduler } = this.#options.cluster
    while (!this.#ended) {
      const period = this.#begin()
      await scheduler.sleep(this.#options.leaseMs() * (0.2 + 2 * this.#random.fraction()))
      this.#end(period)
      this.#periods++
    }
    this.#switchOff(this.#waiting)
  }

  end(): void {
    this.#ended = true
  }

  #begin(): Period {
    const { faults: all, cluster, ward } = this.#options
    const quiet = this.#random.fraction() < quietShare
    const faults = quiet ? [] : all.filter(() => this.#random.fraction() < 0.5)
    const period: Period = { faults, paused: [] }
    for (const name of faults) {
      const { members } = ward
      if (members.length === 0) continue
      this.planned.add(name)
      cluster.notes.note('fault', { name, state: 'on' })
      const anyone = members[this.#random.below(members.length)]!
      if (!this.#strikeNow(name, anyone, period)) cluster.board.switchOn(name)
    }
    return period
  }

  #end({ faults, paused }: Period): void {
    for (const { platform } of paused) platform.resume()
    const { board } = this.#options.cluster
    // What found nothing to strike stays on until it does.
    const over = [...this.#waiting, ...faults].filter((name) => this.#ended || board.struck(name) > 0)
    for (const name of faults) this.#waiting.add(name)
    this.#switchOff(over)
  }

  #switchOff(names: Iterable<FaultName>): void {
    for (const name of [...new Set(names)]) {
      this.#waiting.delete(name)
      this.#options.cluster.board.switchOff(name)
      this.#options.cluster.notes.note('fault', { name, state: 'off' })
    }
  }

  /** Faults of processes and of the whole storage happen once, at the beginning of their period. */
  #strikeNow(name: FaultName, member: Member, period: Period): boolean {
    const { cluster } = this.#options
    switch (name) {
      case 'pause':
        member.process.platform.pause()
        period.paused.push(member.process)
        break
      case 'kill':
        this.#options.ward.replace(member, 'kill')
        break
      case 'restart':
        this.#options.ward.replace(member, 'stop')
        break
      case 'storage-crash':
        cluster.crashStorage(this.#random.fraction() * downMsMax)
        break
      case 'clock-jump':
        this.#jumpClock(member)
        break
      default:
        return false
    }
    cluster.board.note(name)
    return true
  }

  #jumpClock(member: Member): void {
    const byMs = (this.#random.fraction() * 2 - 1) * clockJumpMsMax
    if (this.#random.fraction() < 0.3) this.#options.cluster.jumpStorageClock(byMs)
    else member.process.platform.jumpClock(byMs)
  }
}
