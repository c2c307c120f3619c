import type { AppendBatch, Unit } from '../../engine/engine.ts'
import { encodeBatch, encodePrinted } from '../../event/batch-codec.ts'
import type { UnitRequest, WireBatch } from './writer-protocol.ts'

/** Encodes a batch on this thread, while the writer is busy with the one before. */
export function toWireBatch(batch: AppendBatch): WireBatch {
  const { topic, partition, records, callOf, fresh } = batch
  // Typed arrays cross to the writer as one block of memory.
  const calls = callOf === undefined ? undefined : Uint32Array.from(callOf)
  const place = { topic, partition, count: records.length, callOf: calls, fresh }
  if (fresh) return { ...place, ...encodeBatch(records), ends: undefined }
  const { head, body, ends } = encodePrinted(records)
  return { ...place, head, body, ends: Uint32Array.from(ends) }
}

export function toUnitRequest(unit: Unit): UnitRequest {
  const { lease, from, to, logId } = unit
  return {
    op: 'unit',
    task: lease.task,
    epoch: lease.epoch,
    from,
    to,
    logId,
    batches: unit.appends.map(toWireBatch),
    state: unit.state.map(({ store, keys, values }) => ({
      store,
      keys: [...keys],
      values: values.map((value) => value ?? null),
    })),
  }
}
