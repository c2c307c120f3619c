import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { PartitionBounds, ReadRequest, ReadResult } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { decodeBatch } from '../../event/batch-codec.ts'
import type { StoredEvent } from '../../event/event.ts'
import { batchChecksum } from './log-writer.ts'
import { offsetOf, placeOf } from './place.ts'

interface PartitionRow {
  readonly id: number
  readonly earliest: number
  readonly end: number
}

/** Reads the log over a connection of its own. Each statement sees one committed state of the file. */
export class LogReader {
  readonly #file: string
  readonly #partition: StatementSync
  readonly #rowBefore: StatementSync
  readonly #rowsFrom: StatementSync
  readonly #timeBefore: StatementSync

  constructor(database: DatabaseSync, file: string) {
    this.#file = file
    this.#partition = database.prepare(
      `select p.id, p.earliest, p.next_offset from semel_partition p join semel_topic t on t.id = p.topic_id
       where t.name = ? and p.partition = ?`,
    )
    this.#rowBefore = database.prepare(
      'select place, count from semel_batch where place <= ? and place >= ? order by place desc limit 1',
    )
    this.#rowsFrom = database.prepare(
      `select place, count, append_time, crc, head, body from semel_batch
       where place >= ? and place < ? order by place`,
    )
    this.#timeBefore = database.prepare(
      'select place, count, append_time from semel_batch where place >= ? and place < ? order by place desc limit 1',
    )
  }

  read(request: ReadRequest): ReadResult {
    const { topic, partition, offset, maxEvents, maxBytes } = request
    const row = this.partition(topic, partition)
    if (offset < row.earliest || offset > row.end) throw outOfRange(request, row)
    if (offset === row.end) return { events: [], next: offset, end: row.end }
    const limit = { from: placeOf(row.id, offset), to: placeOf(row.id, row.end), maxEvents, maxBytes }
    const events = this.#readRows(this.#firstPlace(row, offset), limit, request)
    const next = events.length === 0 ? offset : events.at(-1)!.offset + 1
    if (events.length === 0) throw this.#missing(request, row.end)
    return { events, next, end: row.end }
  }

  partition(topic: string, partition: number): PartitionRow {
    const row = this.#partition.get(topic, partition)
    if (row === undefined)
      throw new SemelError('UNKNOWN_TOPIC', `there is no ${topic}/${partition}`, { field: 'topic' })
    return { id: Number(row.id), earliest: Number(row.earliest), end: Number(row.next_offset) }
  }

  bounds(topic: string, partition: number): PartitionBounds {
    const { earliest, end } = this.partition(topic, partition)
    return { earliest, end }
  }

  /** First offset appended at or after `time`: a binary search over rows, whose append times never decrease. */
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
    return low
  }

  #firstPlace({ id, earliest }: PartitionRow, offset: number): number {
    const row = this.#rowBefore.get(placeOf(id, offset), placeOf(id, earliest))
    return row === undefined ? placeOf(id, offset) : Number(row.place)
  }

  #readRows(
    firstPlace: number,
    limit: { from: number; to: number; maxEvents: number; maxBytes: number },
    request: ReadRequest,
  ): StoredEvent[] {
    const events: StoredEvent[] = []
    let bytes = 0
    let expected = firstPlace
    for (const row of this.#rowsFrom.iterate(firstPlace, limit.to)) {
      const place = Number(row.place)
      if (place !== expected) throw this.#missing(request, offsetOf(place))
      const head = String(row.head)
      const body = String(row.body)
      expected = place + Number(row.count)
      const decoded = this.#decode(row, head, body, request)
      const appendTime = Number(row.append_time)
      const skip = Math.max(0, limit.from - place)
      const bytesPerEvent = (head.length + body.length) / decoded.length
      for (let i = skip; i < decoded.length; i++) {
        if (events.length > 0 && (events.length >= limit.maxEvents || bytes >= limit.maxBytes)) return events
        const { id, source, type, time, key, data, attributes } = decoded[i]!
        events.push({
          id,
          source,
          type,
          time,
          key,
          data,
          attributes,
          offset: offsetOf(place) + i,
          appendTime,
        })
        bytes += bytesPerEvent
      }
      if (events.length >= limit.maxEvents || bytes >= limit.maxBytes) return events
    }
    return events
  }

  #decode(
    row: Record<string, unknown>,
    head: string,
    body: string,
    request: ReadRequest,
  ): ReturnType<typeof decodeBatch> {
    const from = offsetOf(Number(row.place))
    if (batchChecksum(head, body) !== Number(row.crc)) {
      throw this.#corrupt(
        `checksum mismatch in ${request.topic}/${request.partition}`,
        from,
        from + Number(row.count),
      )
    }
    const events = decodeBatch({ head, body })
    if (events.length === Number(row.count)) return events
    throw this.#corrupt(
      `wrong number of events in ${request.topic}/${request.partition}`,
      from,
      from + Number(row.count),
    )
  }

  #missing({ topic, partition, offset }: ReadRequest, to: number): SemelError {
    return this.#corrupt(`events are missing in ${topic}/${partition}`, offset, to)
  }

  #corrupt(what: string, from: number, to: number): SemelError {
    return new SemelError('STORAGE_CORRUPT', `${this.#file}: ${what}, offsets ${from} to ${to - 1}`, {
      hint: 'keep a copy of the file and restore from a backup; nothing was skipped or deleted',
    })
  }
}

function outOfRange({ topic, partition, offset }: ReadRequest, { earliest, end }: PartitionRow): SemelError {
  return new SemelError(
    'OFFSET_OUT_OF_RANGE',
    `${topic}/${partition} holds ${earliest} to ${end - 1}, not ${offset}`,
    {
      field: 'offset',
      earliest,
      end,
      actual: offset,
    },
  )
}
