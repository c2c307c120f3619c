import type { IdGeneration } from './id-generation.ts'

const fanIn = 4
/** A merged generation spans at most this share of the window, so that expired ids leave in time. */
const windowShareMax = 1 / 8

/**
 * Generations next to each other, of about one size, that should become one: few generations make few filters to
 * ask, and each id is written again only once per fourfold growth.
 */
export function mergeableRun(
  generations: readonly IdGeneration[],
  windowMs: number,
  hotIdsMax: number,
): readonly IdGeneration[] | undefined {
  for (let start = 0; start + fanIn <= generations.length; start++) {
    const run = generations.slice(start, start + fanIn)
    const tier = tierOf(run[0]!, hotIdsMax)
    const spanMs = run[fanIn - 1]!.row.newestMs - run[0]!.row.oldestMs
    if (
      run.every((generation) => tierOf(generation, hotIdsMax) === tier) &&
      spanMs <= windowMs * windowShareMax
    )
      return run
  }
  return undefined
}

function tierOf({ row }: IdGeneration, hotIdsMax: number): number {
  return Math.round(Math.log(row.entries / hotIdsMax) / Math.log(fanIn))
}
