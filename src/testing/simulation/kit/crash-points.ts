import type { LinePoint } from '../line.ts'
import type { Scenario } from './scenario.ts'
import { runScenario } from './scenario-run.ts'
import { outlived, reportOf, type ScenarioReport, undisturbed, wrongIn } from './simulate.ts'

export interface CrashPointsOptions extends Scenario {
  /** Everything but the kills is the same in all runs, and decided by this. Default 1. */
  readonly seed?: number | undefined
}

export interface CrashPointsReport extends ScenarioReport {
  /** Places at which a consumer was killed, in order, such as `commit 3, done`. */
  readonly points: readonly string[]
}

/** Between these steps nothing changes anywhere, so a kill there is a kill before or after them. */
const passive = new Set([
  ...['heartbeat', 'acquire', 'release', 'leave', 'declareTopics'],
  ...['bounds', 'offsetAt', 'load', 'read', 'scanState', 'status'],
])
const failuresMax = 3

/**
 * Kills the consumer once at every step that matters, one run each: when a commit, a read of state or a call outside
 * was sent and has not arrived, and when it was done and the answer is not there yet. A new process takes over.
 */
export async function crashPoints(given: CrashPointsOptions): Promise<CrashPointsReport> {
  // One consumer, so that every step is its own and each run comes to the same ones.
  const scenario = { ...given, processes: 1 }
  const seed = given.seed ?? 1
  const expected = await undisturbed(scenario, seed)
  const points = await pointsOf(scenario, seed)
  const failures = await outlived(scenario, expected, seed)
  let runs = 0
  for (const [index, name] of failures.length > 0 ? [] : points.entries()) {
    const result = await runScenario(scenario, { seed, faults: [], killsAt: countingTo(index) })
    runs++
    const wrong = await wrongIn(scenario, expected, result)
    if (wrong.length > 0) failures.push({ at: `killed at ${name}`, differences: wrong })
    if (failures.length >= failuresMax) break
  }
  const voids = points.length === 0 ? ['there was no step to be killed at'] : []
  return { ...reportOf(runs, failures, voids), points }
}

async function pointsOf(scenario: Scenario, seed: number): Promise<string[]> {
  const names: string[] = []
  const counts = new Map<string, number>()
  await runScenario(scenario, {
    seed,
    faults: [],
    killsAt: ({ process, operation, at }) => {
      if (!isPoint({ process, operation, at })) return false
      const count = (counts.get(operation) ?? 0) + (at === 'sent' ? 1 : 0)
      counts.set(operation, count)
      names.push(`${operation} ${count}, ${at}`)
      return false
    },
  })
  return names
}

function countingTo(index: number): (point: LinePoint) => boolean {
  let seen = 0
  return (point) => isPoint(point) && seen++ === index
}

function isPoint({ process, operation }: LinePoint): boolean {
  return process.startsWith('consumer') && !passive.has(operation)
}
