import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { crashPointNames } from '../../src/engines/sqlite/crash-points.ts'
import { killAtPoints, killAtRandom, losePower } from '../../test/crash/chains.ts'
import { mixedScenario, type Scenario, scenarios } from '../../test/crash/crash-topics.ts'
import { powerSkip } from '../../test/crash/power.ts'
import { requireStrace } from '../../test/crash/strace.ts'
import { calls, killAtCalls } from '../../test/crash/syscall-kills.ts'
import { root } from '../run.ts'
import type { EngineName } from '../soak/storage.ts'
import { kindOf, type MixedRun, type Totals } from './totals.ts'

const execute = promisify(execFile)
const outputBytesMax = 64 << 20
const seedsPerUnit = 25
const lossesPerUnit = 10
const killsPerUnit = 10
const pointsPerUnit = 8
const callsPerUnit = 6
/** A mixed run below this is void. */
const operationsPerSecondLeast = 1_000

/** What a unit of work came to, to be added to the totals. */
export interface Done {
  readonly done: number
  readonly void?: number
  readonly operations?: number
}

/** One kind of proof: how much is meant to be run, and how a unit of it is. */
export interface Kind {
  readonly name: string
  /** What one of it is, for people. */
  readonly what: string
  readonly target: number
  /** A unit takes about so long; it is not begun when less is left of the slice. */
  readonly unitSeconds: number
  /** What the next unit is, in words that repeat it; undefined: all is done. Must not change the totals. */
  next(totals: Totals): string | undefined
  /** Runs that unit. Throws if it finds something. */
  run(totals: Totals): Promise<Done>
}

function bySeed(
  kind: Omit<Kind, 'next' | 'run'>,
  perUnit: number,
  run: (seed: number, totals: Totals) => Promise<Done>,
): Kind {
  return {
    ...kind,
    next: (totals) => {
      const { done, nextSeed } = kindOf(totals, kind.name)
      return done >= kind.target ? undefined : `seed ${nextSeed}`
    },
    run: async (totals) => {
      const total = kindOf(totals, kind.name)
      const seed = total.nextSeed
      // A seed that fails is not tried again: it stands among the violations.
      total.nextSeed += perUnit
      return await run(seed, totals)
    },
  }
}

async function simulate(seed: number): Promise<Done> {
  const args = ['scripts/simulate.ts', '--seed', String(seed), '--seeds', String(seedsPerUnit), '--json']
  const { stdout } = await execute(process.execPath, args, { cwd: root, maxBuffer: outputBytesMax }).catch(
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  )
  const result = JSON.parse(stdout.trim().split('\n').at(-1)!)
  if (result.failed.length > 0) throw new Error(JSON.stringify(result.failed))
  return { done: result.seeds, void: result.void, operations: result.operations }
}

interface NextPoints {
  readonly name: string
  readonly scenario: Scenario
  readonly points: readonly string[]
}

const nameOf = ({ durability, concurrency, sql }: Scenario): string =>
  `${durability}, concurrency ${concurrency}, SQL in ${sql}`

/** The next hits of the crash points that have more of them, in the scenario with the fewest kills so far. */
function nextPoints(totals: Totals): NextPoints | undefined {
  const killedIn = (scenario: Scenario): number => progressOf(totals, nameOf(scenario)).killed
  for (const scenario of scenarios.toSorted((a, b) => killedIn(a) - killedIn(b))) {
    const name = nameOf(scenario)
    const { next, exhausted } = progressOf(totals, name)
    const open = crashPointNames.filter((point) => !exhausted.includes(point))
    // The least used ones first, so that all of them advance together.
    open.sort((a, b) => (next[a] ?? 1) - (next[b] ?? 1))
    const points = open.slice(0, pointsPerUnit).map((point) => `${point}:${next[point] ?? 1}`)
    if (points.length > 0) return { name, scenario, points }
  }
  return undefined
}

function progressOf({ points }: Totals, name: string): Totals['points'][string] {
  return points[name] ?? { killed: 0, next: {}, exhausted: [] }
}

const crashPoints: Kind = {
  name: 'points',
  what: 'kills at each pass of each named step, in twelve scenarios',
  target: Number.POSITIVE_INFINITY,
  unitSeconds: 15,
  next: (totals) => {
    const found = nextPoints(totals)
    return found === undefined ? undefined : `${found.name}: ${found.points.join(' ')}`
  },
  run: async (totals) => {
    const { name, scenario, points } = nextPoints(totals)!
    const progress = progressOf(totals, name)
    totals.points[name] = progress
    for (const point of points) {
      const [step, hit] = point.split(':')
      progress.next[step!] = Number(hit) + 1
    }
    const missed = await killAtPoints({ points, scenario })
    // A step that was not reached so often has no further point.
    progress.exhausted.push(...missed.map((point) => point.split(':')[0]!))
    progress.killed += points.length - missed.length
    return { done: points.length - missed.length, void: missed.length }
  },
}

const callsName = `writes and flushes of: ${nameOf(mixedScenario)}`

/** The next of the call that was killed at least often and has more of them. */
function nextCalls(totals: Totals): readonly { call: (typeof calls)[number]; when: number }[] {
  const { next, exhausted } = progressOf(totals, callsName)
  const nextOf = (call: (typeof calls)[number]): number => next[call] ?? 1
  const [call] = calls.filter((call) => !exhausted.includes(call)).toSorted((a, b) => nextOf(a) - nextOf(b))
  if (call === undefined) return []
  return Array.from({ length: callsPerUnit }, (_, n) => ({ call, when: nextOf(call) + n }))
}

const crashCalls: Kind = {
  name: 'calls',
  what: 'kills at each write, flush, truncation and removal of a file in a scenario',
  target: Number.POSITIVE_INFINITY,
  unitSeconds: 15,
  next: (totals) => {
    const points = nextCalls(totals)
    return points.length === 0 ? undefined : points.map(({ call, when }) => `${call}:${when}`).join(' ')
  },
  run: async (totals) => {
    requireStrace()
    const points = nextCalls(totals)
    const progress = progressOf(totals, callsName)
    totals.points[callsName] = progress
    for (const { call, when } of points) progress.next[call] = when + 1
    const missed = await killAtCalls(points)
    // Beyond the last of its calls, a life runs to its end.
    if (missed.length === points.length) progress.exhausted.push(points[0]!.call)
    progress.killed += points.length - missed.length
    return { done: points.length - missed.length, void: missed.length }
  },
}

/** The length that counts. Shorter runs are for trying: they are listed, and not counted. */
export const mixedSecondsMeant = 300
/** Starting, draining, and judging a run. */
const mixedExtraSeconds = 90
/** Events a second; each is four operations. A server that is killed and restarted loses some of them. */
const mixedPerSecond = 1_000

/** The soak: publishers and groups in processes that are killed, paused and restarted, every count recomputed. */
function mixedRuns(engine: EngineName, faults: string, seconds: number): Kind {
  return bySeed(
    {
      name: `mixed-${engine}`,
      what: `mixed runs of ${mixedSecondsMeant / 60} minutes on ${engine}, under ${faults}`,
      target: 30,
      unitSeconds: seconds + mixedExtraSeconds,
    },
    1,
    async (seed, totals) => {
      const run = await soak(engine, seconds, seed)
      totals.mixed.push(run)
      const isMeant = seconds >= mixedSecondsMeant
      const proves = run.missing.length === 0 && run.operationsPerSecond >= operationsPerSecondLeast
      return { done: isMeant ? 1 : 0, void: isMeant && !proves ? 1 : 0, operations: run.operations }
    },
  )
}

async function soak(
  engine: EngineName,
  seconds: number,
  seed: number,
): Promise<MixedRun & { operations: number }> {
  const settings = [
    '--engine',
    engine,
    '--for',
    `${seconds}s`,
    '--rate',
    String(mixedPerSecond),
    '--seed',
    String(seed),
  ]
  const args = ['scripts/soak.ts', ...settings, '--json']
  const { stdout, stderr } = await execute(process.execPath, args, {
    cwd: root,
    maxBuffer: outputBytesMax,
  }).catch((error: { stdout?: string; stderr?: string }) => error)
  const last = stdout?.trim().split('\n').at(-1) ?? ''
  if (!last.startsWith('{')) throw new Error(`the soak ended without a result: ${stderr}`)
  const { off, events, operationsPerSecond, made, missing } = JSON.parse(last)
  if (off.length > 0) throw new Error(last)
  const operations = Math.round(operationsPerSecond * seconds)
  return { engine, seed, seconds, events, operations, operationsPerSecond, faults: made, missing }
}

/** Everything that a campaign runs. */
export function kindsOf(mixedSeconds = mixedSecondsMeant): readonly Kind[] {
  return [
    bySeed(
      { name: 'seeds', what: 'simulated seeds', target: 20_000, unitSeconds: 20 },
      seedsPerUnit,
      simulate,
    ),
    crashPoints,
    crashCalls,
    bySeed(
      { name: 'power', what: 'power losses', target: 2_000, unitSeconds: 15 },
      lossesPerUnit,
      async (seed) => {
        if (powerSkip !== false) throw new Error(powerSkip)
        await losePower(lossesPerUnit, seed)
        return { done: lossesPerUnit }
      },
    ),
    bySeed(
      { name: 'kills', what: 'kills at random', target: 5_000, unitSeconds: 15 },
      killsPerUnit,
      async (seed) => {
        await killAtRandom(killsPerUnit, seed)
        return { done: killsPerUnit }
      },
    ),
    mixedRuns('sqlite', 'kills, pauses and restarts', mixedSeconds),
    mixedRuns('postgres', 'these, a killed server, cut and stalled connections', mixedSeconds),
    mixedRuns('kafka', 'these, a broker that is killed, restarted and paused', mixedSeconds),
  ]
}
