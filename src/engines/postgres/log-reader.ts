import type { PartitionBounds, Place, ReadRequest, ReadResult } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { decodeStored } from '../../event/batch-codec.ts'
import type { StoredEvent } from '../../event/event.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { LogRow, RecentRows } from './recent-rows.ts'
import type { Session, TextRow } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import { damagedRow, rowChecksum } from './stored-row.ts'
import { logRegressed } from './write-reply.ts'

interface ReadRow {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: number
  readonly crc: number
}

/**
 * Reads the log. Each statement sees one committed state, and whatever is committed is dense, so nothing that comes
 * later can be below what was read. A row that is damaged or missing stops the reader; nothing is skipped (F3).
 */
export class LogReader {
  readonly #read: string
  readonly #readMany: string
  readonly #bounds: string
  readonly #offsetAt: string
  /** How far each partition is known to be committed, to tell a log that went back (D6). */
  readonly #ends = new Map<string, number>()
  /** The last row that was read of each partition, by its address and checksum. */
  readonly #last = new Map<string, ReadRow>()
  readonly #recent: RecentRows | undefined

  constructor(schema: string, recent?: RecentRows) {
    this.#recent = recent
    const name = quoteIdentifier(schema)
    this.#read = `select * from ${name}.read($1, $2, $3, $4, $5, $6)`
    this.#readMany = `select r.*, a.n
      from unnest($1::text[], $2::int[], $3::bigint[], $4::int[], $5::bigint[], $6::bigint[])
        with ordinality as a (topic, partition, start, rows_max, events_max, bytes_max, n),
      lateral ${name}.read(a.topic, a.partition, a.start, a.rows_max, a.events_max, a.bytes_max) as r`
    this.#bounds = `select * from ${name}.bounds($1)`
    this.#offsetAt = `select ${name}.offset_at($1, $2, $3)`
  }

  /** Whether the end was reached there, and so little is to be expected. */
  isTail({ topic, partition, offset }: ReadRequest): boolean {
    return this.#ends.get(placeName({ topic, partition })) === offset
  }

  /** What this process wrote a moment ago, others apart; `undefined`: the server is to be asked. */
  recent(request: ReadRequest): ReadResult | undefined {
    const place = placeName(request)
    const rows = this.#recent?.from(place, request.offset)
    if (rows === undefined) return undefined
    const { firstOffset, count } = rows.at(-1)!
    const end = Math.max(firstOffset + count, this.#ends.get(place) ?? 0)
    return this.#resultOf(request, end, rows)
  }

  async read(session: Session, request: ReadRequest): Promise<ReadResult> {
    return this.#answerOf(request, await session.rows(this.#read, argumentsOf(request)))
  }

  /** Several as one statement; each has its own answer or error. */
  async readMany(
    session: Session,
    requests: readonly ReadRequest[],
  ): Promise<readonly (ReadResult | Error)[]> {
    const list = requests.map(argumentsOf)
    const columns = Array.from({ length: argumentCount }, (_, column) => list.map((each) => each[column]))
    const rowsOf = requests.map((): TextRow[] => [])
    for (const row of await session.rows(this.#readMany, columns)) rowsOf[Number(row.at(-1)) - 1]!.push(row)
    return requests.map((request, n) => {
      try {
        return this.#answerOf(request, rowsOf[n]!)
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error))
      }
    })
  }

  #answerOf(request: ReadRequest, rows: readonly TextRow[]): ReadResult {
    const { topic, partition, offset } = request
    const first = rows[0]
    if (first === undefined) throw unknownPartition(topic, partition)
    const [earliest, end] = [Number(first[0]), Number(first[1])]
    if (end >= offset && offset >= earliest)
      return this.#resultOf(request, end, end === offset ? [] : rows.map(logRow))
    this.#noteEnd(placeName(request), end)
    throw outOfRange(request, { earliest, end })
  }

  #resultOf(request: ReadRequest, end: number, rows: readonly LogRow[]): ReadResult {
    const { topic, partition, offset } = request
    this.#noteEnd(placeName(request), end)
    if (offset === end) return { events: [], bytes: 0, next: offset, end }
    const { events, bytes } = collect(request, rows)
    const { firstOffset, crc } = rows.at(-1)!
    this.#last.set(placeName(request), { topic, partition, firstOffset, crc })
    return { events, bytes, next: events.at(-1)!.offset + 1, end }
  }

  async bounds(session: Session, topic: string): Promise<readonly PartitionBounds[]> {
    const rows = await session.rows(this.#bounds, [topic])
    if (rows.length > 0)
      return rows.map(([, earliest, end]) => ({ earliest: Number(earliest), end: Number(end) }))
    throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${topic}`, { field: 'topic' })
  }

  async offsetAt(session: Session, topic: string, partition: number, time: number): Promise<number> {
    const rows = await session.rows(this.#offsetAt, [topic, partition, Math.ceil(time)])
    const offset = rows[0]?.[0]
    if (offset === null || offset === undefined) throw unknownPartition(topic, partition)
    return Number(offset)
  }

  /** LOG_REGRESSED if this server lacks a row that was read from the one before (D6). */
  async findMissing(session: Session): Promise<SemelError | undefined> {
    for (const { topic, partition, firstOffset, crc } of this.#last.values()) {
      const [row] = await session.rows(this.#read, [topic, partition, firstOffset, 1, 1, 1])
      if (Number(row?.[0]) > firstOffset) continue
      if (Number(row?.[2] ?? -1) === firstOffset && Number(row?.[5]) === crc) continue
      return logRegressed(
        `after a change of server, the row at ${firstOffset} of ${topic}/${partition} that was read is missing`,
        undefined,
      )
    }
    return undefined
  }

  #noteEnd(name: string, end: number): void {
    const before = this.#ends.get(name) ?? 0
    if (end < before) throw logRegressed(`${name} ends at ${end}, but events up to ${before} were read`, end)
    this.#ends.set(name, end)
  }
}

const argumentCount = 6

/** What the function `read` is called with. */
function argumentsOf({ topic, partition, offset, maxEvents, maxBytes }: ReadRequest): (string | number)[] {
  const rowsMax = Math.min(postgresLimits.rowsPerRead, maxEvents + 1)
  return [topic, partition, offset, rowsMax, maxEvents, maxBytes]
}

/** A row of the function `read`. */
function logRow([, , firstOffset, count, appendTime, crc, head, body]: TextRow): LogRow {
  return {
    firstOffset: Number(firstOffset),
    count: Number(count),
    appendTime: Number(appendTime),
    crc: Number(crc),
    head: head!,
    body: body!,
  }
}

/** Events of whole rows where possible, so that none is decoded twice. */
function collect(request: ReadRequest, rows: readonly LogRow[]): Pick<ReadResult, 'events' | 'bytes'> {
  const { offset, maxEvents, maxBytes } = request
  const where = placeName(request)
  const events: StoredEvent[] = []
  let bytes = 0
  let expected = offset
  for (const row of rows) {
    const { firstOffset: first, count, head, body } = row
    if (first > expected || first + count <= expected) throw missingRows(where, expected, first)
    const skip = expected - first
    const size = ((head.length + body.length) * (count - skip)) / count
    const fits = count - skip <= maxEvents - events.length && bytes + size <= maxBytes
    if (events.length > 0 && !fits) break
    if (rowChecksum(row) !== row.crc) throw damagedRow(where, first, count)
    const decoded = decodeStored(row, first, row.appendTime)
    if (decoded.length !== count) throw damagedRow(where, first, count)
    const bytesPerEvent = size / (count - skip)
    for (let i = skip; i < count && events.length < maxEvents; i++) {
      if (events.length > 0 && bytes + bytesPerEvent > maxBytes) return { events, bytes }
      bytes += bytesPerEvent
      events.push(decoded[i]!)
    }
    expected = first + count
  }
  if (events.length === 0) throw missingRows(where, offset, offset)
  return { events, bytes }
}

export function placeName({ topic, partition }: Place): string {
  return `${topic}/${partition}`
}

function missingRows(where: string, from: number, to: number): SemelError {
  return new SemelError('STORAGE_CORRUPT', `events from ${from} to ${to} of ${where} are missing`, {
    hint: 'restore from a backup; nothing was skipped',
  })
}

function unknownPartition(topic: string, partition: number): SemelError {
  return new SemelError('UNKNOWN_TOPIC', `there is no ${topic}/${partition}`, { field: 'topic' })
}

function outOfRange(
  { topic, partition, offset }: ReadRequest,
  { earliest, end }: PartitionBounds,
): SemelError {
  return new SemelError(
    'OFFSET_OUT_OF_RANGE',
    `${topic}/${partition} holds offsets ${earliest} to ${end}, not ${offset}`,
    {
      field: 'offset',
      earliest,
      end,
      actual: offset,
    },
  )
}
