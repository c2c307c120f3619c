/**
 * Which partitions must be refused to a publisher that has not heard of an earlier failure there (P2): publishes
 * that were sent behind a failed one may not overtake it.
 */
export class FailedCalls {
  #count = 0
  /** Per partition, how many calls had failed when the last one that touched it did. */
  readonly #last = new Map<string, number>()

  blocks(topic: string, partition: number, failuresSeen: number): boolean {
    return failuresSeen < this.#count && failuresSeen < (this.#last.get(`${topic}/${partition}`) ?? 0)
  }

  /** `touched`: every partition of a failed call. */
  note(calls: number, touched: Iterable<{ readonly topic: string; readonly partition: number }>): void {
    this.#count += calls
    for (const { topic, partition } of touched) this.#last.set(`${topic}/${partition}`, this.#count)
  }
}
