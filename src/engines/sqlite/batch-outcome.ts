import type { BatchPlan } from '../../engine/append-plan.ts'
import type { AppendedBatch } from '../../engine/engine.ts'
import type { WireAppended } from './writer-protocol.ts'

/** Stands for the offset of a record whose call failed. */
const noOffset = -1

/** Offset of a record. */
export function offsetIn(outcome: WireAppended, index: number): number {
  const { firstOffset, exceptions } = outcome
  if (exceptions === undefined) return firstOffset + index
  const at = firstAtLeast(exceptions, index)
  return exceptions[2 * at] === index ? exceptions[2 * at + 1]! : firstOffset + index - at
}

/** Records from `from` to before `to` that were not appended, counted from `from`. */
export function exceptedIn({ exceptions }: WireAppended, from: number, to: number): number[] {
  const excepted: number[] = []
  if (exceptions === undefined) return excepted
  for (let at = firstAtLeast(exceptions, from); exceptions[2 * at]! < to; at++) {
    excepted.push(exceptions[2 * at]! - from)
  }
  return excepted
}

export function duplicatesIn({ exceptions }: WireAppended): number {
  let duplicates = 0
  if (exceptions === undefined) return duplicates
  for (let i = 1; i < exceptions.length; i += 2) if (exceptions[i] !== noOffset) duplicates++
  return duplicates
}

/** What the shared plan says of a batch of `count` records. */
export function outcomeOf({ firstOffset, keep, offsets }: BatchPlan, count: number): WireAppended {
  if (keep === undefined) return { firstOffset, exceptions: undefined }
  const exceptions = new Float64Array(2 * (count - keep.length))
  let [kept, at] = [0, 0]
  for (let i = 0; i < count; i++) {
    if (keep[kept] === i) {
      kept++
      continue
    }
    exceptions[at++] = i
    exceptions[at++] = offsets![i]!
  }
  return { firstOffset, exceptions }
}

/** The same as the port says it (`engine.ts`). */
export function appendedOf({ firstOffset, exceptions }: WireAppended, count: number): AppendedBatch {
  if (exceptions === undefined) return { firstOffset, offsets: undefined, duplicates: undefined }
  const offsets = new Array<number>(count)
  const duplicates = new Set<number>()
  let [next, at] = [firstOffset, 0]
  for (let i = 0; i < count; i++) {
    if (exceptions[at] !== i) {
      offsets[i] = next++
      continue
    }
    const offset = exceptions[at + 1]!
    at += 2
    offsets[i] = offset
    if (offset !== noOffset) duplicates.add(i)
  }
  return { firstOffset, offsets, duplicates: duplicates.size === 0 ? undefined : duplicates }
}

/** Number of the first exception at `index` or behind it. */
function firstAtLeast(exceptions: Float64Array, index: number): number {
  let low = 0
  let high = exceptions.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (exceptions[2 * middle]! < index) low = middle + 1
    else high = middle
  }
  return low
}
