import type { Metrics, Occurrences } from './metrics.ts'
import type { OperationName } from './record.ts'

/**
 * What a run must have seen to count (faults.md 3.4). A green run in which nothing was broken proves nothing, and
 * even the best suites have held checks that could not fail.
 */
export interface Gates {
  /** Least number of `ok`s by kind of operation. */
  readonly minOk?: Readonly<Partial<Record<OperationName, number>>> | undefined
  /** Share of operations with unknown outcome. Too few: the faults missed. Too many: nothing was left to judge. */
  readonly unknownShare?: { readonly min: number; readonly max: number } | undefined
  /** Least number of times each planned fault was on while operations were under way. */
  readonly plannedFaults?: Readonly<Record<string, number>> | undefined
  /** Least number of each thing that must have happened. */
  readonly occurred?: Readonly<Partial<Occurrences>> | undefined
}

/** The gates of a fault campaign, as the specification sets them. */
export function campaignGates(minOk: Gates['minOk'], plannedFaults: readonly string[], hitsEach = 1): Gates {
  return {
    minOk,
    unknownShare: { min: 0.01, max: 0.6 },
    plannedFaults: Object.fromEntries(plannedFaults.map((name) => [name, hitsEach])),
    occurred: { takeovers: 1, redeliveries: 1, suppressedDuplicates: 1, tornTailsCut: 1, fencedCommits: 1 },
  }
}

/** Why this run proves nothing; empty: it proves something. Some reasons need no gate to be asked for. */
export function reasonsToVoid(gates: Gates, metrics: Metrics, problems: readonly string[]): string[] {
  return [
    ...problems.map((problem) => `recording: ${problem}`),
    ...nothingDone(metrics),
    ...faultReasons(gates.plannedFaults ?? {}, metrics),
    ...countReasons(gates, metrics),
    ...shareReasons(gates.unknownShare, metrics),
    ...occurrenceReasons(gates.occurred ?? {}, metrics.occurred),
  ]
}

function nothingDone({ counts }: Metrics): string[] {
  for (const { ok } of counts.values()) if (ok > 0) return []
  return ['no operation succeeded: nothing was tested']
}

/** A fault that was on hit something if operations were under way; a planned one must have, often enough. */
function faultReasons(planned: Readonly<Record<string, number>>, { faults }: Metrics): string[] {
  const names = new Set([...Object.keys(planned), ...faults.map(({ name }) => name)])
  return [...names].flatMap((name) => {
    const least = Object.hasOwn(planned, name) ? planned[name]! : 1
    const hits = faults.filter((span) => span.name === name && span.inFlight > 0).length
    if (hits >= least) return []
    return [`fault ${name} hit operations under way ${times(hits)}, planned were at least ${least}`]
  })
}

function countReasons({ minOk = {} }: Gates, { counts }: Metrics): string[] {
  return Object.entries(minOk).flatMap(([f, least]) => {
    const ok = counts.get(f as OperationName)?.ok ?? 0
    return least === undefined || ok >= least ? [] : [`${ok} ok ${f}, at least ${least} were asked for`]
  })
}

function shareReasons(share: Gates['unknownShare'], { counts }: Metrics): string[] {
  if (share === undefined) return []
  let [unknown, all] = [0, 0]
  for (const { ok, fail, info, open } of counts.values()) {
    unknown += info + open
    all += ok + fail + info + open
  }
  const found = all === 0 ? 0 : unknown / all
  if (found >= share.min && found <= share.max) return []
  return [`${percent(found)} of operations are unknown, not ${percent(share.min)} to ${percent(share.max)}`]
}

function occurrenceReasons(least: Readonly<Partial<Occurrences>>, occurred: Occurrences): string[] {
  return Object.entries(occurred).flatMap(([name, count]) => {
    const wanted = least[name as keyof Occurrences] ?? 0
    return count >= wanted ? [] : [`${name}: ${count}, at least ${wanted} were asked for`]
  })
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
