import type { AppendBatch, EncodedRow, Unit } from '../../engine/engine.ts'
import { encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { sqliteLimits } from './sqlite-limits.ts'
import { utf8Rows } from './utf8-block.ts'
import type { UnitRequest, WireBatch } from './writer-protocol.ts'

const canonicalUuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/

/** Encodes batches on this thread, while the writer is busy with those before. `hasMarks`: see `IdFormat`. */
export function toWireBatches(batches: readonly AppendBatch[], hasMarks = false): WireBatch[] {
  const texts = batches.map((batch) => textRows(batch, hasMarks))
  const rows = utf8Rows(texts.flat())
  let end = 0
  return batches.map(({ topic, partition, callOf, fresh }, b) => {
    const start = end
    end += texts[b]!.length
    // A typed array crosses to the writer as one block of memory.
    return {
      topic,
      partition,
      rows: rows.slice(start, end),
      callOf: callOf && Uint32Array.from(callOf),
      fresh,
    }
  })
}

function textRows(batch: AppendBatch, hasMarks: boolean): EncodedRow[] {
  const { records, fresh } = batch
  const rows: EncodedRow[] = [...(batch.rows ?? [])]
  const parts = Math.ceil(records.length / rowEventsMax(batch, hasMarks))
  for (let part = 0; part < parts; part++) addRows(rows, partOf(records, part, parts), fresh)
  return rows
}

/**
 * Encodes records as one row, or as several if they are large: a row is the least that is read to look one event
 * up, so its size is what a duplicate costs.
 */
function addRows(rows: EncodedRow[], records: readonly EventRecord[], fresh: boolean): void {
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

/**
 * Where an id may come again and no mark decides, a row is read for it, so rows are smaller. Whoever makes one id a UUID
 * makes all of them so; where not, looking up costs a little more.
 */
function rowEventsMax({ records, fresh }: AppendBatch, hasMarks: boolean): number {
  const isSeldomRead = fresh || (hasMarks && canonicalUuid.test(records[0]?.id ?? ''))
  return isSeldomRead ? sqliteLimits.rowEventsMax : sqliteLimits.lookedUpRowEventsMax
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
  return { op: 'unit', task, epoch, from, to, logId, batches: toWireBatches(appends), state }
}
