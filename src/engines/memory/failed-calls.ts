import type { AppendGroup, AppendResult } from '../../engine/engine.ts'

/**
 * Which partitions an engine instance must refuse to a publisher that has not heard of an earlier failure there
 * (P2): publishes that were sent behind a failed one may not overtake it.
 */
export class FailedCalls {
  #count = 0
  /** Per partition, how many calls had failed when the last one that touched it did. */
  readonly #last = new Map<string, number>()

  blocks(topic: string, partition: number, failuresSeen: number): boolean {
    return failuresSeen < (this.#last.get(`${topic}/${partition}`) ?? 0)
  }

  note({ batches }: AppendGroup, { failures }: Pick<AppendResult, 'failures'>): void {
    if (failures.size === 0) return
    this.#count += failures.size
    for (const { topic, partition, callOf } of batches) {
      const failed = callOf === undefined ? failures.has(0) : callOf.some((call) => failures.has(call))
      if (failed) this.#last.set(`${topic}/${partition}`, this.#count)
    }
  }
}
