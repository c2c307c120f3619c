import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Durability } from '../../src/index.ts'
import {
  type CheckOptions,
  checkHistory,
  HistoryProbe,
  HistoryRecorder,
  type HistoryReport,
  mergeHistories,
} from '../../src/testing/history/index.ts'
import { hostClock, RealHistoryFile, StoredHistory } from '../../src/testing/real-history-file.ts'
import { until } from '../support/until.ts'
import { crashLeaseMs, eventsPerLife, mixedScenario, type Scenario } from './crash-topics.ts'
import type { Life } from './scenario.ts'

const program = fileURLToPath(new URL('./scenario.ts', import.meta.url))
/** Orders published again at the begin of a life, because the answers to them may have been lost. */
const again = 8

export interface LifeOptions {
  /** `name:hit` of a crash point. */
  readonly crashAt?: string
  /** A program and its options that runs ours. */
  readonly under?: readonly string[]
  /** Another one than the scenario's. */
  readonly durability?: Durability
  /** Default true. */
  readonly consumes?: boolean
  /** Called when the program runs; what it does is part of the life. */
  readonly during?: (running: Running) => Promise<void>
  /** Options of node itself. */
  readonly node?: readonly string[]
  /** Handlers of this life take at least so long, and the whole process with them. Default 0. */
  readonly blockMs?: number
  /** Default true. False: it only handles what is there. */
  readonly publishes?: boolean
  /** Default false; see `Life`. */
  readonly stepwise?: boolean
  /** Default 30 s, the default of a bus. */
  readonly publishDeadlineMs?: number
  /** Default short, so that the next life need not wait for the lease of a killed one. */
  readonly leaseMs?: number
  /** A program that meets a failing disk may also end with an error. */
  readonly mayFail?: boolean
}

/** A life under way. */
export interface Running {
  readonly child: ChildProcess
  /** Settles when the history has so many lines, or when the program has ended. */
  lines(count: number): Promise<void>
  /** The same when it has this text. */
  says(text: string): Promise<void>
}

/** Where programs live one after the other: their database, and the history of all that they were told. */
export class Place implements Disposable {
  readonly file: string
  readonly scenario: Scenario
  readonly probe: HistoryProbe
  readonly #folder: string
  readonly #recorder: HistoryRecorder
  readonly #judge: RealHistoryFile
  readonly #histories: string[] = []
  /** The last life publishes orders up to here. */
  published = 0
  kills = 0

  /** The history lies in a folder of its own, which no fault touches. */
  constructor(file?: string, scenario = mixedScenario) {
    this.scenario = scenario
    this.#folder = mkdtempSync(join(tmpdir(), 'semel-crash-'))
    this.file = file ?? join(this.#folder, 'semel.db')
    this.#judge = new RealHistoryFile(this.newHistory('judge'))
    this.#recorder = new HistoryRecorder({ node: 'judge', clock: hostClock, file: this.#judge })
    this.probe = new HistoryProbe(this.#recorder)
  }

  /** One life of the program, going on where the log ends; answers the signal that ended it. */
  async live(logged: number, options: LifeOptions = {}): Promise<NodeJS.Signals | null> {
    const { crashAt = '', under = [], durability, mayFail = false } = options
    const {
      consumes = true,
      publishes = true,
      blockMs = 0,
      stepwise = false,
      publishDeadlineMs = 30_000,
      leaseMs = crashLeaseMs,
    } = options
    const node = `life-${this.#histories.length}`
    const from = Math.max(0, logged - (logged % 4) - again)
    const life: Life = {
      file: this.file,
      history: this.newHistory(node),
      node,
      from,
      to: publishes ? from + again + eventsPerLife : from,
      blockMs,
      scenario: durability === undefined ? this.scenario : { ...this.scenario, durability },
      consumes,
      stepwise,
      publishDeadlineMs,
      leaseMs,
    }
    if (publishes) this.published = life.to
    const [first, ...args] = [
      ...under,
      process.execPath,
      ...(options.node ?? []),
      program,
      JSON.stringify(life),
    ]
    const env = { ...process.env, ...compileCache(), SEMEL_CRASH_AT: crashAt, UV_THREADPOOL_SIZE: '1' }
    const child = spawn(first!, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (chunk) => {
      errors += String(chunk)
    })
    const exit = once(child, 'exit')
    const running = {
      child,
      lines: (count: number) => untilHistory(life, child, (text) => text.split('\n').length > count),
      says: (part: string) => untilHistory(life, child, (text) => text.includes(part)),
    }
    await options.during?.(running).catch(async (error: unknown) => {
      child.kill('SIGKILL')
      await exit
      throw error
    })
    const [code, signal] = await exit
    assert.ok(signal !== null || code === 0 || mayFail, `the program ended with ${code}: ${errors}`)
    return signal
  }

  /** Writes down that the last program was ended by a fault: what it had under way then is unknown. */
  died(fault: string): void {
    this.kills++
    const client = this.#recorder.client('nemesis')
    client.note('fault', { name: fault, state: 'on' })
    client.note('died', { node: `life-${this.#histories.length - 1}` })
    client.note('fault', { name: fault, state: 'off' })
  }

  /** Whether a life that was to be killed was; false: it ran to its end. */
  wasKilled(signal: NodeJS.Signals | null): boolean {
    if (signal === null) return false
    assert.equal(signal, 'SIGKILL')
    this.died('kill')
    return true
  }

  /** Writes down that a fault begins or ends. */
  fault(name: string, state: 'on' | 'off'): void {
    this.#recorder.client('nemesis').note('fault', { name, state })
  }

  /** An observation of the judge's: effects and balances, read from where they are stored. */
  observer(): ReturnType<HistoryRecorder['client']> {
    return this.#recorder.client('sink')
  }

  judge(options: CheckOptions): HistoryReport {
    return checkHistory(mergeHistories(this.#histories.map((path) => new StoredHistory(path))), options)
  }

  /** A file for the history of one more process. */
  newHistory(node: string): string {
    const path = join(this.#folder, `${node}.ndjson`)
    // A program may be killed before its first line.
    writeFileSync(path, '', { mode: 0o600 })
    this.#histories.push(path)
    return path
  }

  [Symbol.dispose](): void {
    this.#judge[Symbol.dispose]()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function untilHistory(
  { history }: Life,
  child: ChildProcess,
  isThere: (text: string) => boolean,
): Promise<void> {
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null
  await until(() => hasEnded() || isThere(readFileSync(history, 'utf8')), 60_000)
}

/** Compiled once for all lives, for most of a short life is its start. */
export function compileCache(): { NODE_COMPILE_CACHE: string } {
  const folder = join(tmpdir(), 'semel-compile-cache')
  mkdirSync(folder, { recursive: true })
  return { NODE_COMPILE_CACHE: folder }
}
