import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { PartitionBounds, ReadRequest, ReadResult } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { decodeStored } from '../../event/batch-codec.ts'
import type { StoredEvent } from '../../event/event.ts'
import { offsetOf, placeOf } from './place.ts'
import { checksumOn, damagedRow, headChecksum, parseSkips } from './stored-row.ts'

interface PartitionRow {
  readonly id: number
  readonly earliest: number
  readonly end: number
}

/** Events collected so far, and where the next row must begin. */
interface Collected {
  readonly events: StoredEvent[]
  bytes: number
  expected: number
}

/**
 * Reads the log over a connection of its own. Each statement sees one committed state of the file. A row that is
 * damaged or missing stops the reader; nothing is skipped (F3).
 */
export class LogReader {
  readonly #file: string
  readonly #partition: StatementSync
  readonly #rowBefore: StatementSync
  readonly #rowsFrom: StatementSync
  readonly #timeBefore: StatementSync
  readonly #topicExists: StatementSync

  constructor(database: DatabaseSync, file: string) {
    this.#file = file
    this.#partition = database.prepare(
      `select p.id, p.earliest, p.next_offset from semel_partition p join semel_topic t on t.id = p.topic_id
       where t.name = ? and p.partition = ?`,
    )
    this.#rowBefore = database.prepare(
      'select place from semel_batch where place <= ? and place >= ? order by place desc limit 1',
    )
    this.#rowsFrom = database.prepare(
      `select place, count, append_time, crc, skips, head, body from semel_batch
       where place >= ? and place < ? order by place`,
    )
    this.#timeBefore = database.prepare(
      'select place, count, append_time from semel_batch where place >= ? and place < ? order by place desc limit 1',
    )
    this.#topicExists = database.prepare(
      'select count(*) as partitions from semel_topic t join semel_partition p on p.topic_id = t.id where t.name = ?',
    )
  }

  read(request: ReadRequest): ReadResult {
    const { topic, partition, offset } = request
    const row = this.partition(topic, partition)
    if (offset < row.earliest || offset > row.end) throw outOfRange(request, row)
    if (offset === row.end) return { events: [], bytes: 0, next: offset, end: row.end }
    const { events, bytes } = this.#collect(request, row)
    if (events.length === 0) throw this.#missing(request, row.end)
    return { events, bytes, next: events.at(-1)!.offset + 1, end: row.end }
  }

  partition(topic: string, partition: number): PartitionRow {
    const row = this.#partition.get(topic, partition)
    if (row === undefined) {
      throw new SemelError('UNKNOWN_TOPIC', `there is no ${topic}/${partition}`, { field: 'topic' })
    }
    return { id: Number(row.id), earliest: Number(row.earliest), end: Number(row.next_offset) }
  }

  bounds(topic: string): readonly PartitionBounds[] {
    const partitions = Number(this.#topicExists.get(topic)?.partitions)
    if (partitions === 0)
      throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${topic}`, { field: 'topic' })
    return Array.from({ length: partitions }, (_, partition) => {
      const { earliest, end } = this.partition(topic, partition)
      return { earliest, end }
    })
  }

  /** First offset appended at or after `time`: a binary search over rows, whose append times never decrease (R2). */
  offsetAt(topic: string, partition: number, time: number): number {
    const { id, earliest, end } = this.partition(topic, partition)
    let low = earliest
    let high = end
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = this.#timeBefore.get(placeOf(id, earliest), placeOf(id, middle + 1))
      if (row === undefined) return low
      const first = offsetOf(Number(row.place))
      if (Number(row.append_time) >= time) high = first
      else low = first + Number(row.count)
    }
    return Math.max(low, earliest)
  }

  /** Append time of the event at `offset`. */
  appendTimeAt({ id, earliest }: PartitionRow, offset: number): number | undefined {
    const row = this.#timeBefore.get(placeOf(id, earliest), placeOf(id, offset + 1))
    return row === undefined ? undefined : Number(row.append_time)
  }

  #collect(request: ReadRequest, { id, earliest, end }: PartitionRow): Collected {
    const from = placeOf(id, request.offset)
    const first = Number(this.#rowBefore.get(from, placeOf(id, earliest))?.place ?? from)
    const collected: Collected = { events: [], bytes: 0, expected: first }
    for (const row of this.#rowsFrom.iterate(first, placeOf(id, end))) {
      if (!this.#takeRowAfter(request, row, collected)) break
    }
    return collected
  }

  /** What is sound before a damage is read first; the next read begins at the damage and says so. */
  #takeRowAfter(request: ReadRequest, row: Record<string, unknown>, collected: Collected): boolean {
    try {
      if (Number(row.place) !== collected.expected) throw this.#missing(request, offsetOf(Number(row.place)))
      return this.#takeRow(request, row, collected)
    } catch (error) {
      if (collected.events.length === 0) throw error
      return false
    }
  }

  /** Adds a row's events; `false` when the read is full. Rows are taken whole if possible: none is decoded twice. */
  #takeRow(request: ReadRequest, row: Record<string, unknown>, collected: Collected): boolean {
    const { events } = collected
    const first = offsetOf(Number(row.place))
    const count = Number(row.count)
    const skip = Math.max(0, request.offset - first)
    const head = String(row.head)
    const body = String(row.body)
    const room = request.maxEvents - events.length
    const size = ((head.length + body.length) * (count - skip)) / count
    if (events.length > 0 && (count - skip > room || collected.bytes + size > request.maxBytes)) return false
    const decoded = this.#decode(request, row, head, body)
    const bytesPerEvent = size / (count - skip)
    for (let i = skip; i < count && events.length < request.maxEvents; i++) {
      if (events.length > 0 && collected.bytes + bytesPerEvent > request.maxBytes) return false
      collected.bytes += bytesPerEvent
      events.push(decoded[i]!)
    }
    collected.expected = Number(row.place) + count
    return events.length < request.maxEvents && collected.bytes < request.maxBytes
  }

  #decode(
    { topic, partition }: ReadRequest,
    row: Record<string, unknown>,
    head: string,
    body: string,
  ): readonly StoredEvent[] {
    const place = Number(row.place)
    const count = Number(row.count)
    const skips = row.skips === null ? null : String(row.skips)
    const frame = { place, count, appendTime: Number(row.append_time), skips }
    if (checksumOn(headChecksum(frame, head), body) !== Number(row.crc)) {
      throw damagedRow(this.#file, `${topic}/${partition}`, offsetOf(place), count)
    }
    const entries = decodeStored({ head, body }, offsetOf(place), frame.appendTime)
    const events = skips === null ? entries : withoutSkipped(entries, new Set(parseSkips(skips)))
    if (events.length === count) return events
    throw damagedRow(this.#file, `${topic}/${partition}`, offsetOf(place), count)
  }

  #missing({ topic, partition, offset }: ReadRequest, upTo: number): SemelError {
    return new SemelError(
      'STORAGE_CORRUPT',
      `${this.#file} is damaged: of ${topic}/${partition}, events between ${offset} and ${upTo} are missing`,
      { hint: 'keep a copy of the file, then restore from a backup; nothing was skipped' },
    )
  }
}

/** The entries that are events: offsets count only those. */
function withoutSkipped(entries: readonly StoredEvent[], skipped: ReadonlySet<number>): StoredEvent[] {
  const first = entries[0]?.offset ?? 0
  return entries.filter((_, i) => !skipped.has(i)).map((event, i) => ({ ...event, offset: first + i }))
}

function outOfRange(
  { topic, partition, offset }: ReadRequest,
  { earliest, end }: { readonly earliest: number; readonly end: number },
): SemelError {
  return new SemelError(
    'OFFSET_OUT_OF_RANGE',
    `${topic}/${partition} holds offsets ${earliest} to ${end}, not ${offset}`,
    { field: 'offset', earliest, end, actual: offset },
  )
}
