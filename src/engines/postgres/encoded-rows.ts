import type { AppendBatch } from '../../engine/engine.ts'
import { decodeBatch, type EncodedBatch, encodeBatch } from '../../event/batch-codec.ts'
import type { EventRecord } from '../../event/event.ts'
import { postgresLimits } from './postgres-limits.ts'

/** Some neighbouring records of a batch, encoded as a row. */
export interface EncodedRow extends EncodedBatch {
  /** Index of its first record in the batch. */
  readonly first: number
  readonly count: number
}

/** A batch as texts: from here on its owner may change the data. */
export interface EncodedAppend {
  readonly topic: string
  readonly partition: number
  readonly ids: readonly string[]
  readonly callOf: readonly number[] | undefined
  readonly fresh: boolean
  readonly rows: readonly EncodedRow[]
}

export function encodeAppend({ topic, partition, records, callOf, fresh }: AppendBatch): EncodedAppend {
  const ids = records.map(({ id }) => id)
  return { topic, partition, ids, callOf, fresh, rows: encodeRows(records) }
}

export function bytesOf({ rows }: EncodedAppend): number {
  return rows.reduce((sum, { head, body }) => sum + head.length + body.length, 0)
}

/** A record as it was encoded. Decoding a whole row for one record: only for ids that come again. */
export function recordAt({ rows }: EncodedAppend, index: number): EventRecord {
  const row = rows.findLast(({ first }) => first <= index)!
  return decodeBatch(row)[index - row.first]!
}

/** The rows without some of their records, in order. `keep` are the indexes of those that stay. */
export function keptRows(append: EncodedAppend, keep: readonly number[]): readonly EncodedRow[] {
  const wanted = new Set(keep)
  const rows: EncodedRow[] = []
  for (const row of append.rows) {
    const indexes = Array.from({ length: row.count }, (_, i) => row.first + i)
    if (indexes.every((index) => wanted.has(index))) {
      rows.push(row)
      continue
    }
    const records = decodeBatch(row).filter((_, i) => wanted.has(row.first + i))
    if (records.length > 0) rows.push({ first: row.first, count: records.length, ...encodeBatch(records) })
  }
  return rows
}

function encodeRows(records: readonly EventRecord[]): readonly EncodedRow[] {
  const rows: EncodedRow[] = []
  const parts = Math.ceil(records.length / postgresLimits.rowEventsMax)
  for (let part = 0; part < parts; part++) addRows(rows, records, ...boundsOf(0, records.length, part, parts))
  return rows
}

/** One row, or several if the records are large: a row is the least that is read to look one event up. */
function addRows(rows: EncodedRow[], records: readonly EventRecord[], from: number, to: number): void {
  const whole = encodeBatch(from === 0 && to === records.length ? records : records.slice(from, to))
  const parts = Math.min(to - from, Math.ceil(whole.body.length / postgresLimits.rowCharsTarget))
  if (parts <= 1) {
    rows.push({ first: from, count: to - from, ...whole })
    return
  }
  for (let part = 0; part < parts; part++) {
    const [first, end] = boundsOf(from, to, part, parts)
    rows.push({ first, count: end - first, ...encodeBatch(records.slice(first, end)) })
  }
}

function boundsOf(from: number, to: number, part: number, parts: number): [number, number] {
  const count = to - from
  return [from + Math.floor((part * count) / parts), from + Math.floor(((part + 1) * count) / parts)]
}
