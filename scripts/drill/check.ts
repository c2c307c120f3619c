import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus } from '../../src/index.ts'
import { queryOnce } from '../../test/rig/postgres/server.ts'
import { results, type Step, steps } from './topics.ts'

/** What a server holds, lane by lane in the order it is there. */
export interface Holding {
  readonly events: ReadonlyMap<string, readonly number[]>
  readonly effects: ReadonlyMap<string, readonly number[]>
  readonly results: ReadonlyMap<string, readonly (readonly [n: number, count: number])[]>
}

export async function readHolding(url: string): Promise<Holding> {
  await using bus = await openBus({ engine: postgres({ url }), topics: [steps, results] })
  const events: Step[] = []
  for await (const { data } of bus.read(steps)) events.push(data)
  const emitted: (Step & { count: number })[] = []
  for await (const { data } of bus.read(results)) emitted.push(data)
  const effects = await queryOnce<Step>(url, 'select lane, n from public.effects order by seq')
  return {
    events: byLane(events, ({ n }) => n),
    effects: byLane(effects, ({ n }) => n),
    results: byLane(emitted, ({ n, count }) => [n, count] as const),
  }
}

/**
 * What is wrong: per lane, log, effects and results must be 0, 1, 2, … up to the last acknowledged step, each once and
 * in order. Lanes publish one step after the other until it is acknowledged, so nothing else can be right.
 */
export function violations(holding: Holding, acknowledged: ReadonlyMap<string, number>): string[] {
  const found: string[] = []
  for (const [lane, count] of acknowledged) {
    found.push(...compare(`events of ${lane}`, holding.events.get(lane) ?? [], count))
    found.push(...compare(`effects of ${lane}`, holding.effects.get(lane) ?? [], count))
    const emitted = holding.results.get(lane) ?? []
    const numbers = emitted.map(([n]) => n)
    found.push(...compare(`results of ${lane}`, numbers, count))
    const wrong = emitted.find(([n, counted]) => counted !== n + 1)
    if (wrong !== undefined) found.push(`state of ${lane}: ${wrong[1]} were counted at step ${wrong[0]}`)
  }
  return found
}

/** Steps that were acknowledged and are not in the log. */
export function lostSteps(
  { events }: Holding,
  acknowledged: ReadonlyMap<string, number>,
): Map<string, number> {
  const lost = new Map<string, number>()
  for (const [lane, count] of acknowledged) {
    const held = new Set(events.get(lane))
    let missing = 0
    for (let n = 0; n < count; n++) if (!held.has(n)) missing++
    if (missing > 0) lost.set(lane, missing)
  }
  return lost
}

function compare(what: string, numbers: readonly number[], count: number): string[] {
  const at = numbers.findIndex((n, i) => n !== i)
  if (at >= 0) return [`${what}: ${numbers[at]} in place of ${at}`]
  return numbers.length === count ? [] : [`${what}: ${numbers.length}, but ${count} were acknowledged`]
}

function byLane<T extends { readonly lane: string }, V>(
  list: readonly T[],
  value: (item: T) => V,
): Map<string, V[]> {
  const lanes = new Map<string, V[]>()
  for (const item of list) {
    const lane = lanes.get(item.lane) ?? []
    lanes.set(item.lane, lane)
    lane.push(value(item))
  }
  return lanes
}
