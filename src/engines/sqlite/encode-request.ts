import type { AppendBatch, Unit } from '../../engine/engine.ts'
import { encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { sqliteLimits } from './sqlite-limits.ts'
import type { UnitRequest, WireBatch, WireRow } from './writer-protocol.ts'

/** Encodes a batch on this thread, while the writer is busy with the one before. */
export function toWireBatch({ topic, partition, records, callOf, fresh }: AppendBatch): WireBatch {
  const rows: WireRow[] = []
  const { rowEventsMax, lookedUpRowEventsMax } = sqliteLimits
  const parts = Math.ceil(records.length / (fresh ? rowEventsMax : lookedUpRowEventsMax))
  for (let part = 0; part < parts; part++) addRows(rows, partOf(records, part, parts), fresh)
  // A typed array crosses to the writer as one block of memory.
  return { topic, partition, rows, callOf: callOf && Uint32Array.from(callOf), fresh }
}

/**
 * Encodes records as one row, or as several if they are large: a row is the least that is read to look one event
 * up, so its size is what a duplicate costs.
 */
function addRows(rows: WireRow[], records: readonly EventRecord[], fresh: boolean): void {
  const { head, body } = encodeBatch(records, fresh)
  const parts = Math.min(records.length, Math.ceil(body.length / sqliteLimits.rowCharsTarget))
  if (parts <= 1) {
    rows.push({ count: records.length, head, body })
    return
  }
  for (let part = 0; part < parts; part++) {
    const some = partOf(records, part, parts)
    rows.push({ count: some.length, ...encodeBatch(some, fresh) })
  }
}

function partOf(records: readonly EventRecord[], part: number, parts: number): readonly EventRecord[] {
  if (parts === 1) return records
  return records.slice(
    Math.floor((part * records.length) / parts),
    Math.floor(((part + 1) * records.length) / parts),
  )
}

export function toUnitRequest(unit: Unit): UnitRequest {
  const { lease, from, to, logId, appends, state } = unit
  const { task, epoch } = lease
  return { op: 'unit', task, epoch, from, to, logId, batches: appends.map(toWireBatch), state }
}
