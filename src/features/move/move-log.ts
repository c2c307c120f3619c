import type { PartitionBounds } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { CopyRun } from '../copy/copy-run.ts'
import { PartitionComparison } from '../copy/partition-comparison.ts'
import type { MovePlan, MoveProgress } from './move-plan.ts'
import { OffsetMap } from './offset-map.ts'

/** Less than this is left for the time in which the source is closed. */
const nearEvents = 5_000
const roundsMax = 20

/** The log's part of a move: copied and compared again and again, each time only what has come since. */
export class MoveLog {
  readonly maps: readonly OffsetMap[]
  readonly #plan: MovePlan
  readonly #comparisons: readonly PartitionComparison[]
  readonly #onProgress: (progress: MoveProgress) => void

  constructor(plan: MovePlan, onProgress: (progress: MoveProgress) => void) {
    this.#plan = plan
    this.#onProgress = onProgress
    this.maps = Array.from({ length: plan.partitions }, () => new OffsetMap())
    this.#comparisons = this.maps.map(
      (map, partition) =>
        new PartitionComparison(plan, partition, (source, target) => map.add(source, target)),
    )
  }

  get events(): number {
    return this.#comparisons.reduce((sum, { events }) => sum + events, 0)
  }

  /** While programs publish: until little is left to do. */
  async untilNear(signal: AbortSignal | undefined): Promise<void> {
    const { source, topic } = this.#plan
    for (let round = 1; round <= roundsMax; round++) {
      const bounds = await this.toEnd(signal)
      const now = await source.bounds(topic)
      const behind = now.reduce((sum, { end }, p) => sum + end - bounds[p]!.end, 0)
      if (behind <= nearEvents) return
    }
  }

  /** Copies and compares up to where the source ends now. */
  async toEnd(signal: AbortSignal | undefined): Promise<readonly PartitionBounds[]> {
    const { source, topic } = this.#plan
    const bounds = await source.bounds(topic)
    const total = bounds.reduce((sum, { earliest, end }) => sum + end - earliest, 0)
    const report = (positions: readonly number[]): void => {
      const copied = bounds.reduce((sum, { earliest, end }, p) => {
        return sum + Math.max(0, Math.min(end, positions[p]!) - earliest)
      }, 0)
      this.#onProgress({ step: 'copying', copied, total })
    }
    await new CopyRun({ ...this.#plan, partitions: bounds }, report).untilDone(signal)
    this.#onProgress({ step: 'comparing', copied: total, total })
    for (const [partition, { end }] of bounds.entries()) await this.#compare(partition, end, signal)
    return bounds
  }

  /** Positions have no meaning among events that the source never had. */
  async #compare(partition: number, end: number, signal: AbortSignal | undefined): Promise<void> {
    const comparison = this.#comparisons[partition]!
    await comparison.goOn(end, signal)
    if (comparison.others === 0) return
    throw new SemelError(
      'COPY_DIFFERS',
      `${this.#plan.topic}/${partition} of the target has events that the source never had`,
      { actual: comparison.others, hint: 'move to a place where nobody has published to the topic' },
    )
  }

  /** @throws SemelError COPY_DIFFERS if the target goes on behind the last event of the source. */
  async requireNothingElse(signal: AbortSignal | undefined): Promise<void> {
    for (const [partition, comparison] of this.#comparisons.entries()) {
      await comparison.countRest(signal)
      await this.#compare(partition, 0, signal)
    }
  }
}
