import { type Bus, openBus } from '../../../bus.ts'
import { isSemelError } from '../../../errors.ts'
import type { OutgoingEvent } from '../../../event/topic.ts'
import { sleep } from '../../../platform/wait.ts'
import { SimulatedCluster, type SimulatedProcess } from '../cluster.ts'
import type { FaultName } from '../fault-board.ts'
import { type LinePoint, stragglersMs } from '../line.ts'
import { Nemesis, type Ward } from '../nemesis.ts'
import { SimulationStuck } from '../scheduler.ts'
import { outcomeOf } from './outcome.ts'
import type { Outcome, ProcessTools, Scenario } from './scenario.ts'

const processesDefault = 2
const openAgainMs = 50
const watchMs = 50
const gapMsMax = 400
const periodsMin = 4
const replaceMsMax = 200
const stopMs = 1_000
/** After the last fault, all must be handled within this simulated time (V1). */
const drainMsMax = 600_000
/** Until a member has joined, its lease is not known. */
const leaseMsBefore = 1_000

export interface ScenarioRunOptions {
  readonly seed: number
  readonly faults: readonly FaultName[]
  /** Called at each point at which a consumer can be killed; true kills it there. */
  readonly killsAt?: ((point: LinePoint) => boolean) | undefined
}

export interface ScenarioResult {
  /** Undefined: not everything was handled in time. */
  readonly outcome: Outcome | undefined
  readonly problem: string | undefined
  readonly struck: readonly FaultName[]
  readonly simulatedMs: number
}

interface Member {
  readonly process: SimulatedProcess
  readonly bus: Bus
}

/** Runs a scenario once: publishes, consumes, lets faults happen, heals, and waits until everything is handled. */
export async function runScenario(scenario: Scenario, options: ScenarioRunOptions): Promise<ScenarioResult> {
  scenario.reset?.()
  const run = new ScenarioRun(scenario, options)
  let problem: string | undefined
  try {
    problem = await run.cluster.scheduler.run(() => run.work())
  } catch (error) {
    if (!(error instanceof SimulationStuck)) throw error
    problem = error.message
  }
  const { board, scheduler, storage } = run.cluster
  return {
    outcome: problem === undefined ? outcomeOf(storage.log, scenario) : undefined,
    problem,
    struck: options.faults.filter((name) => board.struck(name) > 0),
    simulatedMs: scheduler.nowMs,
  }
}

class ScenarioRun implements Ward<Member> {
  readonly cluster: SimulatedCluster
  readonly #scenario: Scenario
  readonly #options: ScenarioRunOptions
  readonly #members = new Map<Member, string>()
  #replacing = 0

  constructor(scenario: Scenario, options: ScenarioRunOptions) {
    this.#scenario = scenario
    this.#options = options
    this.cluster = new SimulatedCluster({
      seed: options.seed,
      onPoint: (point) => {
        if (options.killsAt?.(point) === true) this.#killAt(point)
      },
    })
  }

  get members(): readonly Member[] {
    return [...this.#members.keys()]
  }

  /** Answers what is wrong, if not everything was handled. */
  async work(): Promise<string | undefined> {
    const { scheduler } = this.cluster
    const count = this.#scenario.processes ?? processesDefault
    for (let n = 1; n <= count; n++) await this.#startConsumer(`consumer${n}`)
    const publisher = await this.#open('publisher')
    const nemesis = new Nemesis({
      cluster: this.cluster,
      faults: this.#options.faults,
      leaseMs: () => this.cluster.leaseMs ?? leaseMsBefore,
      ward: this,
    })
    const faults = this.#options.faults.length === 0 ? Promise.resolve() : nemesis.work()
    for (const event of this.#scenario.events) await this.#publish(publisher, event)
    while (this.#options.faults.length > 0 && nemesis.periods < periodsMin) await scheduler.sleep(watchMs)
    nemesis.end()
    await faults
    await this.#heal()
    const problem = await this.#drain(publisher.bus)
    for (const { bus } of [...this.members, publisher]) await bus.stop({ deadlineMs: stopMs })
    return problem
  }

  replace(member: Member, how: 'kill' | 'stop'): void {
    const role = this.#members.get(member)
    if (role === undefined) return
    this.#members.delete(member)
    this.#replacing++
    void this.#replaceBy(member, how, role).finally(() => this.#replacing--)
  }

  async #replaceBy({ process, bus }: Member, how: 'kill' | 'stop', role: string): Promise<void> {
    const { scheduler } = this.cluster
    if (how === 'kill') this.cluster.kill(process)
    else await bus.stop({ deadlineMs: stopMs }).catch(() => undefined)
    this.cluster.ended(process)
    await scheduler.sleep(scheduler.stream(process.name).fraction() * replaceMsMax)
    await this.#startConsumer(role)
  }

  #killAt(point: LinePoint): void {
    const member = this.members.find(({ process }) => process.name === point.process)
    if (member !== undefined) this.replace(member, 'kill')
  }

  async #startConsumer(role: string): Promise<void> {
    const member = await this.#open(role)
    this.#members.set(member, role)
    this.#scenario.consume(member.bus, toolsOf(member.process))
  }

  async #open(role: string): Promise<Member> {
    const process = await this.cluster.start(role)
    for (;;) {
      try {
        const { engine, name: member, platform } = process
        return { process, bus: await openBus({ engine, topics: this.#scenario.topics, member, platform }) }
      } catch (error) {
        if (!isSemelError(error) || !error.retryable) throw error
        await this.cluster.scheduler.sleep(openAgainMs)
      }
    }
  }

  /** As a careful publisher does: again under the same id, until it is known to be there. */
  async #publish({ process, bus }: Member, event: OutgoingEvent): Promise<void> {
    const id = event.attributes?.id ?? `event-${this.#scenario.events.indexOf(event)}`
    const withId = { ...event, attributes: { ...event.attributes, id } }
    await sleep(process.platform, process.platform.random.fraction() * gapMsMax)
    for (;;) {
      try {
        await bus.publishMany([withId])
        return
      } catch (error) {
        if (!isSemelError(error) || !error.retryable) throw error
        await sleep(process.platform, openAgainMs)
      }
    }
  }

  async #heal(): Promise<void> {
    const { cluster } = this
    cluster.board.heal()
    for (const { platform } of cluster.alive) platform.resume()
    while (this.#replacing > 0) await cluster.scheduler.sleep(watchMs)
    await cluster.scheduler.sleep(stragglersMs)
  }

  /** All groups of all members at the end, twice in a row with nothing new in between. */
  async #drain(bus: Bus): Promise<string | undefined> {
    const { scheduler } = this.cluster
    const due = scheduler.nowMs + drainMsMax
    let before = ''
    for (;;) {
      while (this.#replacing > 0) await scheduler.sleep(watchMs)
      const { groups, topics } = await bus.status()
      const lag = groups.reduce((sum, { lagEvents }) => sum + lagEvents, 0)
      const now = JSON.stringify(topics.map(({ partitions }) => partitions.map(({ end }) => end)))
      if (groups.length > 0 && groups.every(({ tasks }) => tasks.length > 0) && lag === 0 && now === before)
        return
      if (scheduler.nowMs > due)
        return `${lag} events were not handled ${drainMsMax} ms after the last fault (V1)`
      before = now
      await scheduler.sleep(watchMs)
    }
  }
}

function toolsOf({ name, platform, line }: SimulatedProcess): ProcessTools {
  return {
    name,
    now: () => platform.clock.now(),
    sleep: (ms) => sleep(platform, ms),
    call: (operation, work) => {
      return line.send({ operation, writes: true, serve: async () => await work() })
    },
  }
}
