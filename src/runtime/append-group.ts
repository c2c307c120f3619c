import type { AppendBatch } from '../engine/engine.ts'
import type { EventRecord } from '../event/event.ts'
import type { PreparedCall } from './prepare-call.ts'

/** Calls merged into one append group, and the way back from the group's batches to each call's events. */
export interface AppendGroupBuilder {
  readonly batches: readonly AppendBatch[]
  /** For each batch of each call, in their order: the group's batch that it went to. */
  readonly targets: readonly number[]
  /** The same: index in that batch where its records start. */
  readonly starts: readonly number[]
}

/** Merges calls partition by partition, in call order. A single call passes through untouched. */
export function groupOf(calls: readonly PreparedCall[]): AppendGroupBuilder {
  if (calls.length === 1) {
    const { batches } = calls[0]!
    return { batches, targets: batches.map((_, b) => b), starts: batches.map(() => 0) }
  }
  const merged: MergedBatch[] = []
  const byTopic = new Map<string, (number | undefined)[]>()
  const targets: number[] = []
  const starts: number[] = []
  for (let c = 0; c < calls.length; c++) {
    for (const batch of calls[c]!.batches) {
      const target = findTarget(merged, byTopic, batch)
      targets.push(target)
      starts.push(merged[target]!.records.length)
      merged[target]!.add(batch, c)
    }
  }
  return { batches: merged, targets, starts }
}

function findTarget(
  merged: MergedBatch[],
  byTopic: Map<string, (number | undefined)[]>,
  batch: AppendBatch,
): number {
  let byPartition = byTopic.get(batch.topic)
  if (byPartition === undefined) {
    byPartition = []
    byTopic.set(batch.topic, byPartition)
  }
  const known = byPartition[batch.partition]
  if (known !== undefined) return known
  byPartition[batch.partition] = merged.length
  merged.push(new MergedBatch(batch.topic, batch.partition))
  return merged.length - 1
}

class MergedBatch implements AppendBatch {
  readonly topic: string
  readonly partition: number
  readonly records: EventRecord[] = []
  readonly callOf: number[] = []
  fresh = true

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  add(batch: AppendBatch, call: number): void {
    for (const record of batch.records) {
      this.records.push(record)
      this.callOf.push(call)
    }
    if (!batch.fresh) this.fresh = false
  }
}
