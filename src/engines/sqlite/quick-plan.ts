import type { IncomingBatch, IncomingRow } from './append-request.ts'
import { sameBytes } from './batch-bytes.ts'
import { offsetIn } from './batch-outcome.ts'
import { isSameContent, type KnownEvents } from './known-events.ts'
import type { PartitionEntry } from './log-tables.ts'
import { markWords } from './marks.ts'
import { offsetOf } from './place.ts'
import { RequestIds } from './request-ids.ts'
import type { WireAppended } from './writer-protocol.ts'

const topicMix = 0x9e3779b1

/** An event of the request that another one of it repeats. */
interface Earlier {
  readonly batch: number
  readonly index: number
}

/** A row of the request and the number of its first id among all ids of it that are looked up. */
interface NumberedRow {
  readonly batch: number
  readonly row: IncomingRow
  readonly number: number
}

/**
 * What nearly every request comes to: all ids are new, or known with the same content. Decides that from the bytes,
 * without decoding an event. Anything else (a conflict, a failed predecessor) is left to the shared plan
 * (`engine/append-plan.ts`), which decides the same cases in the same way, only slower.
 */
export class QuickPlanner {
  readonly #known: KnownEvents
  readonly #requestIds = new RequestIds()
  #rows: NumberedRow[] = []
  #numbers = 0

  constructor(known: KnownEvents) {
    this.#known = known
  }

  /** `undefined`: not a case for this. `nowMs` is the append clock. */
  plan(batches: readonly IncomingBatch[], nowMs: number): WireAppended[] | undefined {
    this.#rows = []
    this.#numbers = 0
    if (batches.some(mustLookUp)) this.#requestIds.start(batches.reduce((sum, { count }) => sum + count, 0))
    const outcomes: WireAppended[] = []
    const next = new Map<PartitionEntry, number>()
    for (const [b, batch] of batches.entries()) {
      const duplicates = new Map<number, number | Earlier>()
      if (mustLookUp(batch) && !this.#lookUp(b, batches, nowMs, duplicates)) return undefined
      const firstOffset = next.get(batch.head) ?? batch.head.nextOffset
      next.set(batch.head, firstOffset + batch.count - duplicates.size)
      outcomes.push({ firstOffset, exceptions: undefined })
      if (duplicates.size > 0) outcomes[b] = { firstOffset, exceptions: settled(b, duplicates, outcomes) }
    }
    return outcomes
  }

  /** Fills `duplicates`: index in the batch to the first event. `false` if this is no quick case. */
  #lookUp(
    b: number,
    batches: readonly IncomingBatch[],
    nowMs: number,
    duplicates: Map<number, number | Earlier>,
  ): boolean {
    const batch = batches[b]!
    const { topic, rows } = batch
    const dedup = topic.dedup!
    const mix = Math.imul(topic.id, topicMix)
    const sinceMs = nowMs - topic.dedupWindowMs
    for (const row of rows) {
      const { hashes } = row.ids
      const { marks } = row
      this.#rows.push({ batch: b, row, number: this.#numbers })
      for (let i = 0; i < row.entries; i++) {
        const hi = hashes[2 * i]!
        const lo = hashes[2 * i + 1]!
        const earlier = this.#requestIds.add(hi, (lo ^ mix) >>> 0, this.#numbers++)
        if (earlier >= 0) {
          const first = this.#repeated(earlier, row, i)
          if (
            first === undefined ||
            callOf(batches[first.batch]!, first.index) > callOf(batch, row.first + i)
          )
            return false
          duplicates.set(row.first + i, first)
        } else if (dedup.mayKnow(hi, lo)) {
          const same = marks === undefined ? 0 : dedup.placeOfSame(hi, lo, marks, i * markWords, sinceMs)
          if (same !== 0) {
            duplicates.set(row.first + i, offsetOf(same))
            continue
          }
          const { known, expired } = this.#known.find(topic, { hi, lo }, row.idAt(i), sinceMs)
          if (expired !== 0) row.noteExpired(i, expired)
          if (known === undefined) continue
          if (!isSameContent(known, { row, index: i })) return false
          duplicates.set(row.first + i, known.offset)
        }
      }
    }
    return true
  }

  /** The event of this request that this one repeats; `undefined` if it only seems so, or contradicts it. */
  #repeated(number: number, row: IncomingRow, index: number): Earlier | undefined {
    const first = this.#rows.findLast((candidate) => candidate.number <= number)!
    const firstIndex = number - first.number
    if (!sameBytes(first.row.idAt(firstIndex), row.idAt(index))) return undefined
    if (!isSameContent({ row: first.row, index: firstIndex }, { row, index })) return undefined
    return { batch: first.batch, index: first.row.first + firstIndex }
  }
}

/** Calls count in their order, whatever batch their records are in. */
function callOf({ wire }: IncomingBatch, index: number): number {
  return wire.callOf?.[index] ?? 0
}

function mustLookUp({ topic, wire }: IncomingBatch): boolean {
  return topic.dedup !== undefined && !wire.fresh
}

/** The exceptions of batch `b`. A repeat within the request is where the event is that it repeats. */
function settled(
  b: number,
  duplicates: ReadonlyMap<number, number | Earlier>,
  outcomes: readonly WireAppended[],
): Float64Array {
  const { firstOffset } = outcomes[b]!
  const exceptions = new Float64Array(2 * duplicates.size)
  let length = 0
  for (const [index, known] of duplicates) {
    exceptions[length] = index
    exceptions[length + 1] = typeof known === 'number' ? known : offsetOfEarlier(known)
    length += 2
  }
  return exceptions

  function offsetOfEarlier(first: Earlier): number {
    const isHere = first.batch === b
    const outcome = isHere
      ? { firstOffset, exceptions: exceptions.subarray(0, length) }
      : outcomes[first.batch]!
    return offsetIn(outcome, first.index)
  }
}
