import { partitionOfKey } from '../../../event/partition-of-key.ts'
import { SeededRandom } from '../../../platform/seeded-random.ts'
import { checkHistory } from '../../history/check-history.ts'
import type { CheckOptions } from '../../history/options.ts'
import type { HistoryReport } from '../../history/report/report.ts'
import { SimulatedCluster, type SimulatedStorage } from '../cluster.ts'
import { type FaultName, faultNames } from '../fault-board.ts'
import { stragglersMs } from '../line.ts'
import { Nemesis, type Ward } from '../nemesis.ts'
import { type Scheduler, SimulationStuck } from '../scheduler.ts'
import { startConsumer } from './consumer.ts'
import { drained, recordLedger } from './drain.ts'
import { drawKnobs, type Knobs } from './knobs.ts'
import { startOperator } from './operator.ts'
import { Producer } from './producer.ts'
import { finalReads, startFollower } from './readers.ts'
import { type Member, newRun, type Run, startMember } from './run.ts'
import { groups } from './topics.ts'

export interface CampaignRunOptions {
  readonly seed: number
  /** Knobs that are not left to the seed. */
  readonly knobs?: Partial<Knobs> | undefined
  /** A storage that breaks a promise, to see it found out. Default: one that breaks none. */
  readonly storage?: ((scheduler: Scheduler) => SimulatedStorage) | undefined
}

export interface CampaignReport {
  readonly seed: number
  readonly knobs: Knobs
  readonly verdict: HistoryReport['verdict']
  readonly reasons: readonly string[]
  readonly report: HistoryReport
  /** How often each fault struck. */
  readonly struck: Readonly<Partial<Record<FaultName, number>>>
  /** The whole history as text: the same seed gives the same bytes. */
  readonly history: string
  readonly simulatedMs: number
  readonly steps: number
}

/** From the last fault until every group is at the end (V1): three leases, ten seconds, and handlers that hang. */
function healMs({ leaseMs, attempts, handlerTimeoutMs }: Knobs): number {
  return 3 * leaseMs + 10_000 + stragglersMs + 2 * attempts * handlerTimeoutMs
}

const watchMs = 20
const replaceMsMax = 100
const loadMsMax = 600_000
/** A paused process answers late; that is no hang. */
const graceMs = 20_000

/** Knobs of a seed, as far as they are not given. */
export function knobsOf(seed: number, given: Partial<Knobs> = {}): Knobs {
  return { ...drawKnobs(new SeededRandom(seed)), ...given }
}

/**
 * One simulated run: producers, consumers of all three guarantees and a follower under faults, then heal, drain,
 * redrive, final reads, and the verdict of the history checker. The seed decides everything.
 */
export async function runCampaignSeed({
  seed,
  knobs: given,
  storage,
}: CampaignRunOptions): Promise<CampaignReport> {
  const knobs = knobsOf(seed, given)
  const isAtMostOnce = (group: string): boolean => group === groups.atMostOnce
  const { latenessMsMax } = knobs
  const cluster = new SimulatedCluster({ seed, storage, latenessMsMax, isAtMostOnce })
  const run = newRun(cluster, knobs)
  const campaign = new Campaign(run)
  const problems: string[] = []
  try {
    await cluster.scheduler.run(() => campaign.work())
  } catch (error) {
    if (!(error instanceof SimulationStuck)) throw error
    problems.push(`stuck: ${error.message}`)
  }
  problems.push(...campaign.problems)
  const report = checkHistory(cluster.history, checkOptions(knobs))
  const idle = [...campaign.planned].filter((name) => cluster.board.struck(name) === 0)
  const voids = idle.map((name) => `void: fault ${name} was planned and never struck`)
  const isInvalid = report.verdict === 'invalid' || problems.length > 0
  const isVoid = report.verdict === 'void' || voids.length > 0
  return {
    seed,
    knobs,
    verdict: isInvalid ? 'invalid' : isVoid ? 'void' : 'valid',
    reasons: [...problems, ...report.reasons, ...voids],
    report,
    struck: Object.fromEntries(
      faultNames
        .filter((name) => cluster.board.struck(name) > 0)
        .map((name) => [name, cluster.board.struck(name)]),
    ),
    history: cluster.lines.join(''),
    simulatedMs: cluster.scheduler.nowMs,
    steps: cluster.scheduler.steps,
  }
}

function checkOptions(knobs: Knobs): CheckOptions {
  return {
    groups: {
      [groups.exactlyOnce]: { guarantee: 'exactly-once' },
      [groups.atLeastOnce]: { guarantee: 'at-least-once' },
      [groups.atMostOnce]: { guarantee: 'at-most-once' },
    },
    partitionOf: (_, key) => partitionOfKey(key, knobs.partitions),
    healMs: healMs(knobs),
    graceMs,
    gates: { minOk: { commit: 1 } },
  }
}

/** The course of one run. */
class Campaign implements Ward<Member> {
  readonly problems: string[] = []
  readonly #run: Run
  readonly #nemesis: Nemesis<Member>
  readonly #producers: readonly Producer[]
  readonly #members = new Map<Member, () => Promise<Member>>()
  /** Replacements under way. */
  #replacing = 0

  constructor(run: Run) {
    this.#run = run
    this.#nemesis = new Nemesis({
      cluster: run.cluster,
      faults: run.knobs.faults,
      leaseMs: () => run.knobs.leaseMs,
      ward: this,
    })
    this.#producers = Array.from({ length: run.knobs.producers }, (_, n) => new Producer(run, n + 1))
  }

  get members(): readonly Member[] {
    return [...this.#members.keys()]
  }

  get planned(): ReadonlySet<FaultName> {
    return this.#nemesis.planned
  }

  async work(): Promise<void> {
    const { cluster, knobs } = this.#run
    const { scheduler } = cluster
    for (let n = 1; n <= knobs.consumers; n++) await this.#add(() => startConsumer(this.#run, `consumer${n}`))
    await this.#add(() => startFollower(this.#run))
    await this.#add(() => startOperator(this.#run))
    for (const producer of this.#producers) await this.#add(() => producer.start())
    const nemesis = this.#nemesis.work()
    while (this.#producers.some(({ isDone }) => !isDone) && scheduler.nowMs < loadMsMax)
      await scheduler.sleep(watchMs)
    this.#nemesis.end()
    await nemesis
    await this.#heal()
    await this.#finish()
  }

  replace(member: Member, how: 'kill' | 'stop'): void {
    const start = this.#members.get(member)
    if (start === undefined) return
    this.#members.delete(member)
    this.#replacing++
    void this.#replaceBy(member, how, start).finally(() => this.#replacing--)
  }

  async #replaceBy(member: Member, how: 'kill' | 'stop', start: () => Promise<Member>): Promise<void> {
    const { cluster } = this.#run
    member.stopping = true
    if (how === 'kill') cluster.kill(member.process)
    else await this.#stop(member)
    await cluster.scheduler.sleep(cluster.scheduler.stream(member.process.name).fraction() * replaceMsMax)
    await this.#add(start)
  }

  async #add(start: () => Promise<Member>): Promise<void> {
    this.#members.set(await start(), start)
  }

  async #stop(member: Member): Promise<void> {
    member.stopping = true
    // A member that had not joined yet says so again; it has stopped all the same.
    await member.bus.stop({ deadlineMs: stopMs }).catch(() => undefined)
    this.#run.cluster.ended(member.process)
    this.#run.cluster.notes.note('died', { node: member.process.name })
  }

  async #heal(): Promise<void> {
    const { cluster } = this.#run
    cluster.board.heal()
    for (const { platform } of cluster.alive) platform.resume()
    this.#run.healed = true
    cluster.notes.note('phase', { name: 'heal' })
    while (this.#replacing > 0) await cluster.scheduler.sleep(watchMs)
    await cluster.scheduler.sleep(stragglersMs)
  }

  async #finish(): Promise<void> {
    const observer = await startMember(this.#run, 'observer')
    const problem = await drained(this.#run, observer, healMs(this.#run.knobs))
    if (problem !== undefined) this.problems.push(problem)
    for (const member of this.members) await this.#stop(member)
    await finalReads(this.#run, observer)
    await recordLedger(this.#run, observer)
    this.#run.cluster.notes.note('phase', { name: 'final' })
    await observer.bus.stop()
  }
}

const stopMs = 1_000
