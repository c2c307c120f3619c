import type { BatchPlan } from '../../engine/append-plan.ts'
import type { IncomingBatch, IncomingRow } from './append-request.ts'
import { isSameContent, type KnownEvents } from './known-events.ts'
import type { PartitionEntry, TopicEntry } from './log-tables.ts'
import { RequestIds } from './request-ids.ts'

/**
 * What nearly every request comes to: all ids are new, or known with the same content. Decides that from the bytes,
 * without decoding an event. Anything else (a conflict, an id twice in one request, a failed predecessor) is left
 * to the shared plan (`engine/append-plan.ts`), which decides the same cases in the same way, only slower.
 */
export class QuickPlanner {
  readonly #known: KnownEvents
  readonly #requestIds = new RequestIds()

  constructor(known: KnownEvents) {
    this.#known = known
  }

  /** `undefined`: not a case for this. `nowMs` is the append clock. */
  plan(batches: readonly IncomingBatch[], nowMs: number): BatchPlan[] | undefined {
    if (batches.some(({ topic, wire }) => topic.dedup !== undefined && !wire.fresh)) {
      this.#requestIds.start(batches.reduce((sum, { count }) => sum + count, 0))
    }
    const plans: BatchPlan[] = []
    const next = new Map<PartitionEntry, number>()
    for (const batch of batches) {
      const duplicates = new Map<number, number>()
      if (batch.topic.dedup !== undefined && !batch.wire.fresh) {
        for (const row of batch.rows) if (!this.#lookUp(batch.topic, row, nowMs, duplicates)) return undefined
      }
      const firstOffset = next.get(batch.head) ?? batch.head.nextOffset
      next.set(batch.head, firstOffset + batch.count - duplicates.size)
      plans.push(planOf(firstOffset, batch.count, duplicates))
    }
    return plans
  }

  /** Fills `duplicates` (index in the batch to first offset); `false` if this is no quick case. */
  #lookUp(topic: TopicEntry, row: IncomingRow, nowMs: number, duplicates: Map<number, number>): boolean {
    const dedup = topic.dedup!
    const hashes = row.hashes(this.#known.hashSeed)
    for (let i = 0; i < row.entries; i++) {
      const hi = hashes[2 * i]!
      const lo = hashes[2 * i + 1]!
      if (!this.#requestIds.add(hi, lo)) return false
      if (!dedup.mayKnow(hi, lo)) continue
      const { known, expired } = this.#known.find(topic, { hi, lo }, row.idAt(i), nowMs - topic.dedupWindowMs)
      if (expired !== 0) row.noteExpired(i, expired)
      if (known === undefined) continue
      if (!isSameContent(known, row, i)) return false
      duplicates.set(row.first + i, known.offset)
    }
    return true
  }
}

function planOf(firstOffset: number, count: number, duplicates: ReadonlyMap<number, number>): BatchPlan {
  if (duplicates.size === 0)
    return { firstOffset, keep: undefined, offsets: undefined, duplicates: undefined }
  const keep: number[] = []
  const offsets = new Array<number>(count)
  for (let i = 0; i < count; i++) {
    const known = duplicates.get(i)
    offsets[i] = known ?? firstOffset + keep.length
    if (known === undefined) keep.push(i)
  }
  return { firstOffset, keep, offsets, duplicates: new Set(duplicates.keys()) }
}
