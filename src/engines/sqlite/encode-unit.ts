import type { AppendBatch, Unit } from '../../engine/engine.ts'
import { encodeBatch } from '../../event/batch-codec.ts'
import type { UnitRequest, WireBatch } from './writer-protocol.ts'

/** Encodes a batch on this thread, while the writer is busy with the one before. */
export function toWireBatch(batch: AppendBatch): WireBatch {
  const { topic, partition, records, callOf, fresh } = batch
  const { head, body } = encodeBatch(records)
  return { topic, partition, count: records.length, head, body, callOf, fresh }
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
