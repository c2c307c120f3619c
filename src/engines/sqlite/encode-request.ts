import type { AppendBatch, Unit } from '../../engine/engine.ts'
import { encodeBatch } from '../../event/batch-codec.ts'
import { sqliteLimits } from './sqlite-limits.ts'
import type { UnitRequest, WireBatch, WireRow } from './writer-protocol.ts'

/** Encodes a batch on this thread, while the writer is busy with the one before. */
export function toWireBatch({ topic, partition, records, callOf, fresh }: AppendBatch): WireBatch {
  const rowCount = Math.ceil(records.length / sqliteLimits.rowEventsMax)
  const rows: WireRow[] = []
  for (let row = 0; row < rowCount; row++) {
    const from = Math.floor((row * records.length) / rowCount)
    const to = Math.floor(((row + 1) * records.length) / rowCount)
    const { head, body } = encodeBatch(rowCount === 1 ? records : records.slice(from, to))
    rows.push({ count: to - from, head, body })
  }
  // A typed array crosses to the writer as one block of memory.
  return { topic, partition, rows, callOf: callOf && Uint32Array.from(callOf), fresh }
}

export function toUnitRequest(unit: Unit): UnitRequest {
  const { lease, from, to, logId, appends, state } = unit
  const { task, epoch } = lease
  return { op: 'unit', task, epoch, from, to, logId, batches: appends.map(toWireBatch), state }
}
