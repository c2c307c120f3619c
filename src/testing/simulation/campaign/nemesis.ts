import type { SeededRandom } from '../../../platform/seeded-random.ts'
import type { FaultName } from '../fault-board.ts'
import type { Member, Run } from './run.ts'

/** One period in four has no faults, so that the system recovers and makes progress (faults.md 2.2). */
const quietShare = 0.25
const clockJumpMsMax = 3_600_000
const downMsMax = 200

/** What the nemesis may do to the processes; the campaign knows how to replace one. */
export interface Ward {
  readonly members: readonly Member[]
  /** Kills a member and starts the next process of its role soon. */
  replace(member: Member, how: 'kill' | 'stop'): void
}

interface Period {
  readonly faults: readonly FaultName[]
  readonly paused: Member[]
}

/** Switches faults on and off, a random few at a time, until it is told to end. */
export class Nemesis {
  readonly #run: Run
  readonly #ward: Ward
  readonly #random: SeededRandom
  /** Faults that were on at any time: each must have struck, or the run is void. */
  readonly planned = new Set<FaultName>()
  /** Faults that are on and have not struck yet, though their period is over. */
  readonly #waiting = new Set<FaultName>()
  #ended = false

  constructor(run: Run, ward: Ward) {
    this.#run = run
    this.#ward = ward
    this.#random = run.cluster.scheduler.stream('nemesis')
  }

  async work(): Promise<void> {
    const { scheduler } = this.#run.cluster
    while (!this.#ended) {
      const period = this.#begin()
      await scheduler.sleep(this.#run.knobs.leaseMs * (0.2 + 2 * this.#random.fraction()))
      this.#end(period)
    }
    this.#switchOff(this.#waiting)
  }

  end(): void {
    this.#ended = true
  }

  #begin(): Period {
    const { knobs, cluster } = this.#run
    const quiet = this.#random.fraction() < quietShare
    const faults = quiet ? [] : knobs.faults.filter(() => this.#random.fraction() < 0.5)
    const period = { faults, paused: [] }
    for (const name of faults) {
      const { members } = this.#ward
      if (members.length === 0) continue
      this.planned.add(name)
      cluster.notes.note('fault', { name, state: 'on' })
      const anyone = members[this.#random.below(members.length)]!
      if (!this.#strikeNow(name, anyone, period)) cluster.board.switchOn(name)
    }
    return period
  }

  #end({ faults, paused }: Period): void {
    for (const { process } of paused) process.platform.resume()
    const { board } = this.#run.cluster
    // What found nothing to strike stays on until it does.
    const over = [...this.#waiting, ...faults].filter((name) => this.#ended || board.struck(name) > 0)
    for (const name of faults) this.#waiting.add(name)
    this.#switchOff(over)
  }

  #switchOff(names: Iterable<FaultName>): void {
    for (const name of [...new Set(names)]) {
      this.#waiting.delete(name)
      this.#run.cluster.board.switchOff(name)
      this.#run.cluster.notes.note('fault', { name, state: 'off' })
    }
  }

  /** Faults of processes and of the whole storage happen once, at the beginning of their period. */
  #strikeNow(name: FaultName, member: Member, period: Period): boolean {
    const { cluster } = this.#run
    switch (name) {
      case 'pause':
        member.process.platform.pause()
        period.paused.push(member)
        break
      case 'kill':
        this.#ward.replace(member, 'kill')
        break
      case 'restart':
        this.#ward.replace(member, 'stop')
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
    if (this.#random.fraction() < 0.3) this.#run.cluster.jumpStorageClock(byMs)
    else member.process.platform.jumpClock(byMs)
  }
}
