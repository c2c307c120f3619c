import { type AppendPlan, type KnownEvent, planAppend } from '../../engine/append-plan.ts'
import type { SemelError } from '../../errors.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { type EncodedAppend, recordAt } from './encoded-rows.ts'
import type { KnownIds } from './known-events.ts'
import type { TopicTable } from './topic-table.ts'

/**
 * Where an event goes is known only when its partition is locked. Until then an offset from here on means: the so many
 * -th after the end of the partition with that number in the write (`WriteDraft`).
 */
const pendingBase = 2 ** 52
const pendingPerPartition = 2 ** 32

export function pendingOffset(slot: number, index: number): number {
  return pendingBase + slot * pendingPerPartition + index
}

/** The offset that a planned one came to; `ends` by number of the partition. */
export function settledOffset(offset: number, ends: readonly number[]): number {
  if (offset < pendingBase) return offset
  const pending = offset - pendingBase
  return ends[Math.floor(pending / pendingPerPartition)]! + (pending % pendingPerPartition)
}

export function indexOfPending(offset: number): number {
  return (offset - pendingBase) % pendingPerPartition
}

export interface PlannerParts {
  readonly topics: TopicTable
  readonly known: ReadonlyMap<string, KnownIds>
  readonly slotOf: (topic: string, partition: number) => number
  /** Topics that nothing may be appended to, and why. */
  readonly obstacles: ReadonlyMap<string, SemelError>
}

interface Plannable {
  readonly appends: readonly EncodedAppend[]
  readonly calls: number
  readonly isBlocked: (topic: string, partition: number) => boolean
}

const noFailures: ReadonlyMap<number, SemelError> = new Map()

/**
 * Plans the requests of one write, one after the other: each sees what those before it will have appended. What nearly
 * every request comes to, nothing but new ids, is seen at once; all else is left to the shared plan.
 */
export class GroupPlanner {
  readonly #topics: TopicTable
  readonly #known: ReadonlyMap<string, KnownIds>
  readonly #slotOf: (topic: string, partition: number) => number
  readonly #obstacles: ReadonlyMap<string, SemelError>
  /** Events that this write appends, by topic and id. */
  readonly #accepted = new Map<string, Map<string, KnownEvent>>()
  readonly #next: number[]

  constructor({ topics, known, slotOf, obstacles }: PlannerParts, partitions: number) {
    this.#topics = topics
    this.#known = known
    this.#slotOf = slotOf
    this.#obstacles = obstacles
    this.#next = new Array<number>(partitions).fill(0)
  }

  plan(request: Plannable): AppendPlan {
    const plan = this.#quick(request) ?? this.#full(request)
    for (const [b, append] of request.appends.entries()) this.#accept(append, plan.batches[b]!)
    return plan
  }

  #quick({ appends, isBlocked }: Plannable): AppendPlan | undefined {
    const seen = new Map<string, Set<string>>()
    for (const { topic, partition, ids, fresh } of appends) {
      if (isBlocked(topic, partition) || this.#obstacles.has(topic)) return undefined
      if (fresh || !this.#remembers(topic)) continue
      const known = this.#known.get(topic)
      const accepted = this.#accepted.get(topic)
      if (known?.size !== 0 && ids.some((id) => known?.has(id))) return undefined
      if (accepted !== undefined && ids.some((id) => accepted.has(id))) return undefined
      const own = seen.get(topic) ?? new Set<string>()
      seen.set(topic, own)
      const before = own.size
      for (const id of ids) own.add(id)
      if (own.size !== before + ids.length) return undefined
    }
    const next = [...this.#next]
    const batches = appends.map(({ topic, partition, ids }) => {
      const slot = this.#slotOf(topic, partition)
      const firstOffset = pendingOffset(slot, next[slot]!)
      next[slot]! += ids.length
      return { firstOffset, keep: undefined, offsets: undefined, duplicates: undefined }
    })
    return { batches, failures: noFailures }
  }

  #full({ appends, calls, isBlocked }: Plannable): AppendPlan {
    return planAppend(
      { calls, batches: appends },
      {
        known: (topic, id) => this.#accepted.get(topic)?.get(id) ?? this.#known.get(topic)?.get(id),
        remembers: (topic) => this.#remembers(topic),
        nextOffset: (topic, partition) => {
          const slot = this.#slotOf(topic, partition)
          return pendingOffset(slot, this.#next[slot]!)
        },
        blocked: isBlocked,
        obstacle: (topic) => this.#obstacles.get(topic),
        content: (b, index) => contentOf(appends[b]!, index),
      },
    )
  }

  #accept(append: EncodedAppend, plan: AppendPlan['batches'][number]): void {
    const { topic, partition, ids, fresh } = append
    // A closed topic's partitions are not part of the write.
    if (plan.keep?.length === 0) return
    const slot = this.#slotOf(topic, partition)
    this.#next[slot]! += plan.keep?.length ?? ids.length
    if (fresh || !this.#remembers(topic)) return
    const accepted = this.#accepted.get(topic) ?? new Map<string, KnownEvent>()
    this.#accepted.set(topic, accepted)
    const count = plan.keep?.length ?? ids.length
    for (let i = 0; i < count; i++) {
      const index = plan.keep === undefined ? i : plan.keep[i]!
      const offset = plan.offsets?.[index] ?? plan.firstOffset + index
      accepted.set(ids[index]!, { offset, ...contentOf(append, index) })
    }
  }

  #remembers(topic: string): boolean {
    return this.#topics.topic(topic).ids !== undefined
  }
}

function contentOf(append: EncodedAppend, index: number) {
  return { print: undefined, fingerprint: () => fingerprint(recordAt(append, index)) }
}
