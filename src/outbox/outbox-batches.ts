import type { AppendBatch } from '../engine/engine.ts'
import type { EventRecord } from '../event/event.ts'
import { partitionOfKey } from '../event/partition-of-key.ts'

/** An event of an outbox on its way into a log. */
export interface PlacedEvent {
  readonly topic: string
  readonly record: EventRecord
  /** Running number of its row: spreads events that have no key. */
  readonly place: number
  readonly partitions: number
}

/** One batch for each partition. Events without a key are spread by their number. */
export function batchesOf(events: readonly PlacedEvent[]): readonly AppendBatch[] {
  const batches = new Map<string, { topic: string; partition: number; records: EventRecord[] }>()
  for (const { topic, record, place, partitions } of events) {
    const partition = record.key === null ? place % partitions : partitionOfKey(record.key, partitions)
    const name = `${partition}/${topic}`
    const batch = batches.get(name) ?? { topic, partition, records: [] }
    batches.set(name, batch)
    batch.records.push(record)
  }
  return [...batches.values()].map((batch) => ({ ...batch, callOf: undefined, fresh: false }))
}
