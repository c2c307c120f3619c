import { type FaultName, faultNames } from '../fault-board.ts'
import { differences } from './outcome.ts'
import type { Outcome, Scenario } from './scenario.ts'
import { runScenario, type ScenarioResult, type ScenarioRunOptions } from './scenario-run.ts'

/** Sets of faults to choose from; any list of names will do. */
export const faults = {
  all: faultNames,
  none: [],
  /** The storage and the way to it. */
  storage: ['delay', 'refuse', 'lost-request', 'lost-reply', 'late-request', 'wakeups', 'storage-crash'],
  /** The processes themselves. */
  processes: ['kill', 'restart', 'pause', 'lost-lease', 'clock-jump'],
} as const satisfies Readonly<Record<string, readonly FaultName[]>>

export interface SimulateOptions extends Scenario {
  /** Which faults happen. Default: all. */
  readonly faults?: readonly FaultName[] | undefined
  /** Runs, each with its own seed. Default 50. */
  readonly seeds?: number | undefined
  /** Seed of the first run. Default 1. */
  readonly seed?: number | undefined
}

export interface ScenarioFailure {
  /** The seed, or the crash point. */
  readonly at: string
  readonly differences: readonly string[]
}

export interface ScenarioReport {
  /** `void`: a fault that was asked for never struck, so the runs prove less than they should. */
  readonly verdict: 'valid' | 'invalid' | 'void'
  readonly runs: number
  readonly failures: readonly ScenarioFailure[]
  /** For the message of an assertion: what went wrong, and how to see it again. */
  readonly text: string
}

const seedsDefault = 50
const failuresMax = 3

/**
 * Runs your handlers under faults, on simulated time, and compares what each run leaves behind with what an undisturbed
 * run does: state, events, dead letters, and what you say happened outside. What differs is not exactly once (X1).
 */
export async function simulate(options: SimulateOptions): Promise<ScenarioReport> {
  const first = options.seed ?? 1
  const chosen = options.faults ?? faults.all
  const expected = await undisturbed(options, first)
  const failures = await outlived(options, expected, first)
  const struck = new Set<FaultName>()
  let runs = 0
  const last = failures.length > 0 ? first - 1 : first + (options.seeds ?? seedsDefault) - 1
  for (let seed = first; seed <= last; seed++) {
    const result = await runScenario(options, { seed, faults: chosen })
    runs++
    for (const name of result.struck) struck.add(name)
    const wrong = await wrongIn(options, expected, result)
    if (wrong.length === 0) continue
    failures.push(await smallest(options, expected, { seed, faults: chosen }, wrong))
    if (failures.length >= failuresMax) break
  }
  const idle = chosen.filter((name) => !struck.has(name))
  return reportOf(runs, failures, failures.length > 0 ? [] : idle.map((name) => `fault ${name} never struck`))
}

export function reportOf(
  runs: number,
  failures: readonly ScenarioFailure[],
  voids: readonly string[],
): ScenarioReport {
  const lines = failures.flatMap(({ at, differences }) => [at, ...differences.map((line) => `  ${line}`)])
  const verdict = failures.length > 0 ? 'invalid' : voids.length > 0 ? 'void' : 'valid'
  return {
    verdict,
    runs,
    failures,
    text: [`${verdict} after ${runs} ${runs === 1 ? 'run' : 'runs'} with faults`, ...lines, ...voids].join(
      '\n',
    ),
  }
}

/** What the scenario leaves behind when nothing goes wrong. */
export async function undisturbed(scenario: Scenario, seed: number): Promise<Outcome> {
  const { outcome, problem } = await runScenario(scenario, { seed, faults: [] })
  if (outcome === undefined) {
    throw new Error(
      `without any fault: ${problem}. A handler may wait for a real timer, file or socket, which a simulation does not have: use process.sleep and process.call`,
    )
  }
  await scenario.verify?.(outcome)
  return outcome
}

/** What a run leaves behind for the next one would be blamed on a fault. */
export async function outlived(
  scenario: Scenario,
  expected: Outcome,
  seed: number,
): Promise<ScenarioFailure[]> {
  const wrong = await wrongIn(scenario, expected, await runScenario(scenario, { seed, faults: [] }))
  if (wrong.length === 0) return []
  const why = 'something outlives a run: declare it inside consume, or forget it in reset'
  return [{ at: 'without any fault, the second time', differences: [why, ...wrong] }]
}

export async function wrongIn(
  scenario: Scenario,
  expected: Outcome,
  { outcome, problem }: ScenarioResult,
): Promise<readonly string[]> {
  if (outcome === undefined) return [problem ?? 'the run did not end']
  const found = differences(expected, outcome)
  try {
    await scenario.verify?.(outcome)
  } catch (error) {
    found.push(`verify: ${error instanceof Error ? error.message : String(error)}`)
  }
  return found
}

/** Leaves out faults one by one, as long as something is still wrong. */
async function smallest(
  scenario: Scenario,
  expected: Outcome,
  options: ScenarioRunOptions,
  wrong: readonly string[],
): Promise<ScenarioFailure> {
  let best = { names: options.faults, wrong }
  for (const name of options.faults) {
    const names = best.names.filter((other) => other !== name)
    const result = await runScenario(scenario, { ...options, faults: names })
    const still = await wrongIn(scenario, expected, result)
    if (still.length > 0) best = { names, wrong: still }
  }
  const list = best.names.map((name) => `'${name}'`).join(', ')
  return { at: `{ seed: ${options.seed}, seeds: 1, faults: [${list}] }`, differences: best.wrong }
}
