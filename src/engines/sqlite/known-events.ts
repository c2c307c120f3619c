import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SemelError } from '../../errors.ts'
import type { EventRecord } from '../../event/event.ts'
import { fingerprint } from '../../event/fingerprint.ts'
import { type Hash64, viewOf } from './keyed-hash.ts'
import type { LogTables, TopicEntry } from './log-tables.ts'
import { LookedUpRow } from './looked-up-row.ts'
import { offsetOf, partitionIdOf } from './place.ts'
import { type Prints, printsBytes, samePrint } from './prints.ts'
import { BatchBytes, checksumOn, damagedRow, entriesOf, headChecksum, type RowFrame } from './stored-row.ts'

const cachedRowsMax = 16

/** One event of an encoded batch. */
export interface BatchEvent {
  readonly row: { readonly prints: Prints; readonly records: readonly EventRecord[] }
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
  readonly #wholeRow: StatementSync
  readonly #rows = new Map<number, LookedUpRow>()

  constructor(database: DatabaseSync, tables: LogTables, file: string) {
    this.#tables = tables
    this.#file = file
    // Without the body, which comes last in the row: its pages are not touched. Head and prints as one value,
    // because a value costs more to take over than its bytes do.
    this.#rowAt = database.prepare(
      `select place, count, append_time, prints_crc, skips, cast(cast(head as blob) || prints as blob) as looked
       from semel_batch where place <= ? order by place desc limit 1`,
    )
    this.#wholeRow = database.prepare(
      'select crc, cast(head as blob) as head, cast(body as blob) as body from semel_batch where place = ?',
    )
  }

  /** `id` are its bytes as they stand in a head; `sinceMs` is the moment the window began. */
  find(topic: TopicEntry, hash: Hash64, id: Uint8Array, sinceMs: number): LookUp {
    const places = topic.dedup!.candidates(hash.hi, hash.lo)
    if (places.length === 0) return nothing
    let expired = 0
    for (const place of places) {
      const row = this.#row(topic, place)
      if (row === undefined) continue
      const index = row.indexOf(place)
      if (!row.hasIdAt(index, id)) continue
      if (row.frame.appendTime > sinceMs) {
        return { known: { offset: offsetOf(place), row, index }, expired: 0 }
      }
      if (expired === 0) expired = place
    }
    return { known: undefined, expired }
  }

  /** Rows may go or come back when a transaction ends otherwise than it began. */
  forgetRows(): void {
    this.#rows.clear()
  }

  #row(topic: TopicEntry, place: number): LookedUpRow | undefined {
    for (const row of this.#rows.values()) if (row.holds(place)) return row
    const row = this.#read(topic, place)
    if (row === undefined) return undefined
    if (this.#rows.size >= cachedRowsMax) this.#rows.delete(this.#rows.keys().next().value!)
    this.#rows.set(row.frame.place, row)
    return row
  }

  /** What is read is compared with its checksum before anything is concluded from it (F3). */
  #read(topic: TopicEntry, place: number): LookedUpRow | undefined {
    const row = this.#rowAt.get(place)
    if (row === undefined) return undefined
    const frame: RowFrame = {
      place: Number(row.place),
      count: Number(row.count),
      appendTime: Number(row.append_time),
      skips: row.skips === null ? null : String(row.skips),
    }
    if (place >= frame.place + frame.count) return undefined
    const readWhole = (): BatchBytes => this.#readWhole(topic, frame)
    if (!(row.looked instanceof Uint8Array)) {
      const whole = readWhole()
      return new LookedUpRow({ frame, head: whole.head, prints: undefined }, () => whole)
    }
    const looked = bufferOf(row.looked)
    // The checksum of head and prints, in one go.
    if (headChecksum(frame, looked) !== Number(row.prints_crc)) throw this.#damaged(topic, frame)
    const headEnd = looked.length - printsBytes(entriesOf(frame))
    const prints = viewOf(looked.subarray(headEnd))
    return new LookedUpRow({ frame, head: looked.subarray(0, headEnd), prints }, readWhole)
  }

  #readWhole(topic: TopicEntry, frame: RowFrame): BatchBytes {
    const row = this.#wholeRow.get(frame.place)
    const head = bufferOf(row?.head)
    const body = bufferOf(row?.body)
    if (checksumOn(headChecksum(frame, head), body) !== Number(row?.crc)) throw this.#damaged(topic, frame)
    return new BatchBytes(head, body, entriesOf(frame), this.#tables.idFormat)
  }

  #damaged(topic: TopicEntry, { place, count }: RowFrame): SemelError {
    const { partition } = topic.partitions.find(({ id }) => id === partitionIdOf(place))!
    return damagedRow(this.#file, `${topic.name}/${partition}`, offsetOf(place), count)
  }
}

/** Whether the incoming event is the known one once more (N1), or another with its id (N2). */
export function isSameContent(known: BatchEvent, event: BatchEvent): boolean {
  if (samePrint(known.row.prints, known.index, event.row.prints, event.index)) return true
  return fingerprint(event.row.records[event.index]!) === fingerprint(known.row.records[known.index]!)
}

function bufferOf(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) return Buffer.alloc(0)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}
