import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { fingerprint } from '../../event/fingerprint.ts'
import { sameBytes } from './batch-bytes.ts'
import type { LogTables, TopicEntry } from './log-tables.ts'
import { offsetOf, partitionIdOf } from './place.ts'
import { BatchBytes, damagedRow, parseSkips, rowChecksum } from './stored-row.ts'

const cachedRowsMax = 16

interface StoredRow {
  readonly place: number
  readonly count: number
  readonly appendTime: number
  readonly skips: readonly number[]
  readonly bytes: BatchBytes
}

/** One event of an encoded batch. */
export interface BatchEvent {
  readonly row: BatchBytes
  readonly index: number
}

/** An event that was accepted before under the id in question. */
export interface Known extends BatchEvent {
  readonly offset: number
}

/** What a look-up found: the event inside the window, and where the id was accepted before it, if it was. */
export interface LookUp {
  readonly known: Known | undefined
  /** Place of an older event of the same id, out of the window; 0 if there is none. */
  readonly expired: number
}

const nothing: LookUp = { known: undefined, expired: 0 }

/** Decides exactly whether an id is known (N5): every candidate of the index is compared with its row in the log. */
export class KnownEvents {
  readonly #tables: LogTables
  readonly #file: string
  readonly #rowAt: StatementSync
  readonly #rows = new Map<number, StoredRow>()

  constructor(database: DatabaseSync, tables: LogTables, file: string) {
    this.#tables = tables
    this.#file = file
    this.#rowAt = database.prepare(
      `select place, count, append_time, crc, skips, cast(head as blob) as head, ends, cast(body as blob) as body
       from semel_batch where place <= ? order by place desc limit 1`,
    )
  }

  /** `id` are its bytes as they stand in a head; `sinceMs` is the moment the window began. */
  find(topic: TopicEntry, hash: { hi: number; lo: number }, id: Uint8Array, sinceMs: number): LookUp {
    const places = topic.dedup!.candidates(hash.hi, hash.lo)
    if (places.length === 0) return nothing
    let expired = 0
    for (const place of places) {
      const row = this.#row(topic, place)
      if (row === undefined) continue
      const index = indexIn(row, place)
      if (!sameBytes(row.bytes.idAt(index), id)) continue
      if (row.appendTime > sinceMs) {
        return { known: { offset: offsetOf(place), row: row.bytes, index }, expired: 0 }
      }
      if (expired === 0) expired = place
    }
    return { known: undefined, expired }
  }

  /** Rows may go or come back when a transaction ends otherwise than it began. */
  forgetRows(): void {
    this.#rows.clear()
  }

  #row(topic: TopicEntry, place: number): StoredRow | undefined {
    for (const row of this.#rows.values()) {
      if (place >= row.place && place < row.place + row.count) return row
    }
    const row = this.#read(topic, place)
    if (row === undefined) return undefined
    if (this.#rows.size >= cachedRowsMax) this.#rows.delete(this.#rows.keys().next().value!)
    this.#rows.set(row.place, row)
    return row
  }

  #read(topic: TopicEntry, place: number): StoredRow | undefined {
    const row = this.#rowAt.get(place)
    if (row === undefined) return undefined
    const first = Number(row.place)
    const count = Number(row.count)
    if (place >= first + count) return undefined
    const appendTime = Number(row.append_time)
    const head = bufferOf(row.head)
    const body = bufferOf(row.body)
    const skips = row.skips === null ? null : String(row.skips)
    if (rowChecksum({ place: first, count, appendTime, skips }, head, body) !== Number(row.crc)) {
      const { partition } = topic.partitions.find(({ id }) => id === partitionIdOf(place))!
      throw damagedRow(this.#file, `${topic.name}/${partition}`, offsetOf(first), count)
    }
    const skipList = parseSkips(skips)
    const ends = row.ends instanceof Uint8Array ? row.ends : undefined
    const bytes = new BatchBytes(head, body, count + skipList.length, ends)
    return { place: first, count, appendTime, skips: skipList, bytes }
  }

  get hashSeed(): number {
    return this.#tables.hashSeed
  }
}

/** Whether the incoming event is the known one once more (N1), or another with its id (N2). */
export function isSameContent(known: BatchEvent, batch: BatchBytes, index: number): boolean {
  if (batch.isSurelySame(index, known.row, known.index)) return true
  return fingerprint(batch.records[index]!) === fingerprint(known.row.records[known.index]!)
}

function indexIn({ place: first, skips }: StoredRow, place: number): number {
  let index = place - first
  for (const skipped of skips) {
    if (skipped > index) break
    index++
  }
  return index
}

function bufferOf(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) return Buffer.alloc(0)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}
