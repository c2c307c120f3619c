import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, parseArgs } from 'node:util'
import { type Bus, isSemelError, openBus } from '../src/index.ts'
import { SeededRandom } from '../src/platform/seeded-random.ts'
import type { TaskSnapshot } from '../src/status.ts'
import { judge } from './soak/judge.ts'
import { KafkaStorage } from './soak/kafka-storage.ts'
import { Nemesis } from './soak/nemesis.ts'
import { PostgresStorage } from './soak/postgres-storage.ts'
import { type EngineName, engineAt, engineNames, SqliteStorage, type Storage } from './soak/storage.ts'
import { type SoakTopics, soakTopics } from './soak/topics.ts'
import { WorkerPool } from './soak/worker-pool.ts'

const usage = `Publishers and groups in several processes on one log, killed, paused and restarted at random. Where there is a
server, it is killed and cut off from them as well.

  npm run soak -- [--engine ${engineNames.join('|')}] [--for 10m] [--seed N] [--rate N] [--json]

Ends with every count checked against the log; the exit status is 1 if anything is off.
`
const processes = 3
const faultEveryMs = 2_500
/** So many rounds apart, dead letters are redriven in the middle of it all. */
const redriveEvery = 6
const withDeadLetters = ['exactly-once', 'at-least-once'] as const
const drainMsMax = 120_000
/** A server that was killed is back, and a cut connection made again, within this time. */
const patienceMs = 60_000
/** A worker's memory at its end may be above that of its middle by at most this, in a run of some length. */
const growthMibMax = 80
const growthAfterMs = 60_000
/** Each event is published, and handled by three groups. */
const operationsPerEvent = 4

interface Options {
  readonly engine: EngineName
  readonly forMs: number
  readonly seed: number
  readonly perSecond: number
  readonly json: boolean
}

async function openStorage(engine: EngineName, folder: string): Promise<Storage> {
  if (engine === 'sqlite') return new SqliteStorage(folder)
  return engine === 'postgres' ? await PostgresStorage.start() : await KafkaStorage.start()
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** One run: workers, faults, and whoever watches them. */
class Soak {
  readonly #options: Options
  readonly #folder: string
  readonly #storage: Storage
  readonly #bus: Bus
  readonly #topics: SoakTopics
  readonly #workers: WorkerPool
  readonly #nemesis: Nemesis
  readonly #endMs: number
  readonly #rssMib: number[] = []
  #redriven = 0

  constructor(options: Options, folder: string, storage: Storage, bus: Bus, topics: SoakTopics) {
    this.#options = options
    this.#folder = folder
    this.#storage = storage
    this.#bus = bus
    this.#topics = topics
    this.#endMs = performance.now() + options.forMs
    this.#workers = new WorkerPool(processes, (name) => ({
      address: storage.workers,
      notes: this.#notes,
      healed: this.#healed,
      name,
      perSecond: options.perSecond / processes,
      publishFor: Math.max(0, this.#endMs - performance.now()),
    }))
    const random = new SeededRandom(options.seed)
    this.#nemesis = new Nemesis(random, processes, this.#workers, storage)
  }

  get #notes(): string {
    return join(this.#folder, 'notes')
  }

  /** While this file exists, nothing is poison. */
  get #healed(): string {
    return join(this.#folder, 'healed')
  }

  async run(): Promise<boolean> {
    try {
      const startMs = performance.now()
      for (let round = 1; performance.now() < this.#endMs; round++) {
        await pause(faultEveryMs)
        await this.#nemesis.next()
        await this.#redriveNowAndThen(round)
        this.#sample()
        if (!this.#options.json)
          console.log(`${JSON.stringify(this.#nemesis.made)}  lag ${JSON.stringify(await this.#lags())}`)
      }
      const faultSeconds = (performance.now() - startMs) / 1_000
      const drained = await this.#drain()
      const behind = drained ? [] : await this.#behind()
      this.#sample()
      await this.#workers.stop()
      return await this.#judge(drained, behind, faultSeconds)
    } finally {
      this.#workers.kill9()
    }
  }

  #sample(): void {
    this.#storage.sample()
    this.#rssMib.push(...this.#workers.rssMib())
  }

  async #lags(): Promise<Record<string, number>> {
    const { groups } = await patiently(() => this.#bus.status())
    return Object.fromEntries(groups.map(({ group, lagEvents }) => [group, lagEvents]))
  }

  /** The tasks that are not at their ends: where each stands and who has it. */
  async #behind(): Promise<readonly TaskSnapshot[]> {
    const { groups } = await patiently(() => this.#bus.status())
    return groups.flatMap(({ tasks }) => tasks).filter(({ lagEvents }) => lagEvents > 0)
  }

  /** Asks for every open dead letter once more; answers how many there are. */
  async #redrive(): Promise<number> {
    let open = 0
    for (const group of withDeadLetters) {
      const own = this.#bus.deadLetters(group)
      const letters = await patiently(() => own.list({ topic: this.#topics.input.name, limit: 1_000 }))
      await patiently(() => own.redrive(letters))
      open += letters.length
    }
    this.#redriven += open
    return open
  }

  /** Heals what was poison for a while, and lets it be poison again. */
  async #redriveNowAndThen(round: number): Promise<void> {
    if (round % redriveEvery === redriveEvery - 2) {
      writeFileSync(this.#healed, '')
      await this.#redrive()
    } else if (round % redriveEvery === 0) rmSync(this.#healed, { force: true })
  }

  /** The groups have handled everything, the dead letters too. */
  async #drain(): Promise<boolean> {
    writeFileSync(this.#healed, '')
    const due = performance.now() + drainMsMax
    while (performance.now() < due) {
      await pause(500)
      if (Object.values(await this.#lags()).some((lag) => lag > 0)) continue
      if ((await this.#redrive()) === 0) return true
    }
    return false
  }

  async #judge(drained: boolean, behind: readonly TaskSnapshot[], faultSeconds: number): Promise<boolean> {
    const { off: found, figures } = await judge(this.#bus, this.#topics, this.#notes)
    const off = [...found, ...this.#storage.excess(figures.events!)]
    if (!drained) off.push(`groups were not at the end after ${drainMsMax} ms (V1)`)
    const { lingering, stuck, unexpected } = this.#workers
    if (unexpected > 0) off.push(`${unexpected} workers ended without being killed`)
    if (stuck > 0) off.push(`${stuck} workers did not stop when they were asked to (U3)`)
    const half = Math.floor(this.#rssMib.length / 2)
    const middleMib = Math.max(...this.#rssMib.slice(0, half))
    const lateMib = Math.max(...this.#rssMib.slice(half))
    if (this.#options.forMs >= growthAfterMs && lateMib - middleMib > growthMibMax)
      off.push(`memory grew from ${middleMib} to ${lateMib} MiB`)
    const operationsPerSecond = Math.round((figures.events! * operationsPerEvent) / faultSeconds)
    const { made, missing } = this.#nemesis
    const { engine, seed, json } = this.#options
    const redriven = this.#redriven
    const result = {
      engine,
      seed,
      made,
      missing,
      ...figures,
      redriven,
      lingering,
      operationsPerSecond,
      middleMib,
      lateMib,
      behind,
      off,
    }
    console.log(json ? JSON.stringify(result) : inspect(result, { depth: 4 }))
    return off.length === 0
  }
}

/** Asks again while the server is gone for a moment. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const due = performance.now() + patienceMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isSemelError(error) || !error.retryable || performance.now() > due) throw error
      await pause(100)
    }
  }
}

function milliseconds(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text)
  if (match === null) throw new RangeError(`--for must look like 90s, 10m or 1h, not ${JSON.stringify(text)}`)
  return Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
}

function engineName(text: string): EngineName {
  const name = engineNames.find((candidate) => candidate === text)
  if (name === undefined)
    throw new RangeError(`--engine is one of ${engineNames.join(', ')}, not ${JSON.stringify(text)}`)
  return name
}

async function run(options: Options): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-soak-'))
  try {
    await using storage = await openStorage(options.engine, folder)
    const engine = await engineAt(storage.observer)
    const topics = soakTopics(engine.facts.dedup === 'topic')
    await using bus = await openBus({ engine, topics: [topics.input, topics.output], member: 'observer' })
    return await new Soak(options, folder, storage, bus, topics).run()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'sqlite' },
    for: { type: 'string', default: '10m' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    rate: { type: 'string', default: '3000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) console.log(usage)
else {
  const options: Options = {
    engine: engineName(values.engine),
    forMs: milliseconds(values.for),
    seed: Number(values.seed),
    perSecond: Number(values.rate),
    json: values.json,
  }
  process.exitCode = (await run(options)) ? 0 : 1
}
