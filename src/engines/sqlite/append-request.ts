import type { IdFormat } from './id-format.ts'
import type { LogTables, PartitionEntry, TopicEntry } from './log-tables.ts'
import { BatchBytes } from './stored-row.ts'
import type { WireBatch, WireRow } from './writer-protocol.ts'

/** One row to be, with what is known of its ids so far. */
export class IncomingRow extends BatchBytes {
  /** Index of its first record in the batch. */
  readonly first: number
  /** By index: place of an older event with the same id, out of its window. */
  expired: Map<number, number> | undefined

  constructor({ head, body, count }: WireRow, first: number, format: IdFormat) {
    super(bufferOf(head), bufferOf(body), count, format)
    this.first = first
  }

  noteExpired(index: number, place: number): void {
    this.expired ??= new Map()
    this.expired.set(index, place)
  }
}

/** A batch on its way into the log: its rows as bytes, its topic and its partition's head. */
export interface IncomingBatch {
  readonly wire: WireBatch
  readonly topic: TopicEntry
  readonly head: PartitionEntry
  readonly rows: readonly IncomingRow[]
  readonly count: number
}

/** UNKNOWN_TOPIC if there is no such place. */
export function incomingBatch(tables: LogTables, wire: WireBatch): IncomingBatch {
  const topic = tables.topic(wire.topic)
  const head = tables.partition(wire.topic, wire.partition)
  const rows: IncomingRow[] = []
  let count = 0
  for (const row of wire.rows) {
    rows.push(new IncomingRow(row, count, tables.idFormat))
    count += row.count
  }
  return { wire, topic, head, rows, count }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
