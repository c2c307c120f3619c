import { type CampaignReport, type CampaignRunOptions, knobsOf, runCampaignSeed } from './campaign-run.ts'
import type { Knobs } from './knobs.ts'

/** The smallest run found that still fails, and how to repeat it. */
export interface Minimised {
  readonly report: CampaignReport
  /** Knobs that differ from what the seed alone decides. */
  readonly changed: Partial<Knobs>
  readonly runs: number
}

/** Knobs that make a run smaller or quieter, each with the values worth trying, the smallest first. */
const smaller: readonly (readonly [keyof Knobs, readonly number[]])[] = [
  ['consumers', [1, 2]],
  ['producers', [1, 2]],
  ['calls', [2, 5, 10, 15]],
  ['partitions', [1]],
  ['keys', [1, 3]],
  ['pipeline', [1]],
  ['poisonShare', [0]],
  ['flakyShare', [0]],
  ['hangShare', [0]],
  ['handlerMsMax', [0, 5]],
  ['latenessMsMax', [0]],
]

/**
 * Takes away from a failing seed whatever it fails without: faults one by one, then processes and operations. What
 * is tried fails like the original: with an anomaly, not by being void.
 */
export async function minimiseSeed(options: CampaignRunOptions): Promise<Minimised> {
  let best = await runCampaignSeed(options)
  let changed: Partial<Knobs> = { ...options.knobs }
  let runs = 1
  const tryWith = async (change: Partial<Knobs>): Promise<void> => {
    const candidate = { ...changed, ...change }
    const report = await runCampaignSeed({ ...options, knobs: candidate })
    runs++
    if (report.verdict !== 'invalid') return
    best = report
    changed = candidate
  }
  if (best.verdict !== 'invalid') return { report: best, changed, runs }
  for (const name of best.knobs.faults)
    await tryWith({ faults: best.knobs.faults.filter((other) => other !== name) })
  for (const [name, values] of smaller) {
    const before = best
    for (const value of values) {
      if (best !== before || value >= (knobsOf(options.seed, changed)[name] as number)) break
      await tryWith({ [name]: value })
    }
  }
  return { report: best, changed, runs }
}
