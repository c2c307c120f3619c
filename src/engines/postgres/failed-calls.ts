interface Place {
  readonly topic: string
  readonly partition: number
}

/**
 * Which partitions must be refused to a publisher that has not heard of an earlier failure there (P2): publishes
 * that were sent behind a failed one may not overtake it.
 */
export class FailedCalls {
  #count = 0
  /** Per partition, how many calls had failed when the last one that touched it did. */
  readonly #last = new Map<string, number>()

  get count(): number {
    return this.#count
  }

  blocks(topic: string, partition: number, failuresSeen: number): boolean {
    return failuresSeen < this.#count && failuresSeen < this.lastAt(topic, partition)
  }

  lastAt(topic: string, partition: number): number {
    return this.#last.get(`${topic}/${partition}`) ?? 0
  }

  /** `touched`: every partition of a failed call. */
  note(calls: number, touched: Iterable<Place>): void {
    this.#count += calls
    for (const { topic, partition } of touched) this.#last.set(`${topic}/${partition}`, this.#count)
  }
}

/** Failures of a write that is still being planned: real for the requests behind them, and for all once it is done. */
export class PlannedFailures {
  readonly #known: FailedCalls
  readonly #own = new FailedCalls()
  readonly #notes: { readonly calls: number; readonly touched: readonly Place[] }[] = []

  constructor(known: FailedCalls) {
    this.#known = known
  }

  blocks(topic: string, partition: number, failuresSeen: number): boolean {
    if (this.#known.blocks(topic, partition, failuresSeen)) return true
    const own = this.#own.lastAt(topic, partition)
    return own > 0 && failuresSeen < this.#known.count + own
  }

  note(calls: number, touched: readonly Place[]): void {
    this.#own.note(calls, touched)
    this.#notes.push({ calls, touched })
  }

  settle(): void {
    for (const { calls, touched } of this.#notes) this.#known.note(calls, touched)
  }
}
