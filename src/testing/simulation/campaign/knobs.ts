import type { SeededRandom } from '../../../platform/seeded-random.ts'
import { type FaultName, faultNames } from '../fault-board.ts'

/** Everything that a seed decides before a run begins (BUGGIFY: sizes and times shrink until their edges show). */
export interface Knobs {
  readonly partitions: number
  readonly keys: number
  readonly producers: number
  readonly consumers: number
  /** Publish calls of each producer. */
  readonly calls: number
  /** Publishes that a producer has under way at most. */
  readonly pipeline: number
  readonly concurrency: number
  readonly windowEvents: number
  readonly leaseMs: number
  readonly handlerTimeoutMs: number
  readonly attempts: number
  readonly publishDeadlineMs: number
  readonly queueEvents: number
  readonly latenessMsMax: number
  /** Share of events that no attempt can handle before they are healed. */
  readonly poisonShare: number
  /** Share of attempts that fail for no reason, and that take too long. */
  readonly flakyShare: number
  readonly hangShare: number
  readonly handlerMsMax: number
  readonly faults: readonly FaultName[]
}

export function drawKnobs(random: SeededRandom): Knobs {
  const pick = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)]!
  const knobs = {
    partitions: pick(1, 2, 3),
    keys: pick(1, 3, 8),
    producers: pick(1, 2, 3),
    consumers: pick(1, 2, 3),
    calls: pick(10, 20, 30),
    pipeline: pick(1, 3, 8),
    concurrency: pick(1, 2, 16),
    windowEvents: pick(1, 4, 16, 16_000),
    leaseMs: pick(200, 500, 1_500),
    handlerTimeoutMs: pick(100, 400, 2_000),
    attempts: pick(1, 2, 5),
    publishDeadlineMs: pick(50, 500, 30_000),
    queueEvents: pick(1, 10, 50_000),
    latenessMsMax: pick(0, 3, 40),
    poisonShare: pick(0, 0.05),
    flakyShare: pick(0, 0.1),
    hangShare: pick(0, 0, 0.02),
    handlerMsMax: pick(0, 5, 60),
  }
  return { ...knobs, faults: drawFaults(random) }
}

/** Most runs have a handful of faults, some have all and some have one, so that each is also seen alone. */
function drawFaults(random: SeededRandom): FaultName[] {
  const share = [0.15, 0.4, 0.4, 1][random.below(4)]!
  const drawn = faultNames.filter(() => random.fraction() < share)
  return drawn.length > 0 ? drawn : [faultNames[random.below(faultNames.length)]!]
}
