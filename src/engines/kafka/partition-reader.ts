import { SemelError } from '../../errors.ts'
import type { Clients } from './client.ts'
import { DirectConsumer, type DirectParts } from './direct-consumer.ts'
import { FetchedMemory } from './fetched-memory.ts'
import { translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { LogEnds } from './log-ends.ts'
import type { LogRecord } from './log-record.ts'
import { type FetchingConsumer, ReadConsumer, type ReadPlan } from './read-consumer.ts'
import type { ReadCursor } from './read-cursor.ts'
import { ReaderPool, type Seat } from './reader-pool.ts'

export interface Records {
  readonly records: readonly LogRecord[]
  /** As counted against `bytesMax`. */
  readonly bytes: number
  readonly next: number
  readonly end: number
  /** All records were fetched by then, on the monotonic clock. */
  readonly fetchedAt: number
  /** The topic that was asked for them by its id; `undefined`: whichever had that name. */
  readonly topicId: string | undefined
}

export interface RecordRange {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly recordsMax: number
  readonly bytesMax: number
}

/** Of streams: what is read ahead is most of what will be asked for next. */
const streamPlan: ReadPlan = {
  recordsPerCall: kafkaLimits.consumeRecordsMax,
  recordsHeld: kafkaLimits.readBufferRecordsMax,
  prefetchKib: kafkaLimits.prefetchKibMax,
  fetchBytes: kafkaLimits.fetchBytes,
  idleMs: kafkaLimits.cursorIdleMs,
}
/** Of single records, such as an event for its next attempt: what comes behind it is thrown away. */
const spotPlan: ReadPlan = {
  recordsPerCall: kafkaLimits.spotRecordsMax,
  recordsHeld: kafkaLimits.spotRecordsMax,
  prefetchKib: kafkaLimits.spotPrefetchKib,
  fetchBytes: kafkaLimits.spotPrefetchKib * 1024,
  idleMs: 0,
}

/**
 * Reads any partition from any offset. Who goes on where it stopped gets what was fetched ahead. Single records are read
 * by a consumer of their own, or each would cost those who read on what was fetched for them.
 */
export class PartitionReader {
  readonly #clients: Clients
  readonly #ends: LogEnds
  readonly #streams: ReaderPool
  readonly #spots: ReaderPool

  /** `direct`: how brokers are asked without the client, where they can be. */
  constructor(clients: Clients, ends: LogEnds, group: string, direct: DirectParts | undefined) {
    this.#clients = clients
    this.#ends = ends
    const memory = new FetchedMemory()
    const opening = (plan: ReadPlan) => async (): Promise<FetchingConsumer> => {
      if (direct !== undefined) return new DirectConsumer(direct, plan, memory)
      return await ReadConsumer.open(clients, group, plan, memory)
    }
    this.#streams = new ReaderPool(clients, opening(streamPlan), kafkaLimits.readersMax)
    this.#spots = new ReaderPool(clients, opening(spotPlan), 1)
  }

  /** OFFSET_OUT_OF_RANGE below the earliest retained offset and above the stable end (R3). */
  async read(range: RecordRange): Promise<Records> {
    const isSpot = range.recordsMax <= kafkaLimits.spotRecordsMax && this.#streams.going(range) === undefined
    const pool = isSpot ? this.#spots : this.#streams
    const seat = await pool.seat(range)
    try {
      return await this.#readAt(seat, range, isSpot)
    } catch (error) {
      throw translated(error, `reading ${range.topic}/${range.partition}`, 'not-applied')
    } finally {
      pool.release(seat)
    }
  }

  async #readAt({ consumer, cursor }: Seat, range: RecordRange, isSpot: boolean): Promise<Records> {
    await consumer.meet(range.topic)
    let isEndNew = cursor.isEmpty
    if (cursor.isEmpty && (await this.#fetchToEnd(consumer, cursor))) await this.#fill(consumer, cursor)
    else if (!cursor.isEmpty) isEndNew = false
    else if (cursor.holds(range.offset)) isEndNew = await this.#fillKnown(consumer, cursor, isSpot)
    else {
      await this.#checkRange(cursor, range.offset)
      await this.#fill(consumer, cursor)
    }
    const { fetchedAt, topicId } = cursor
    const { records, bytes } = cursor.take(range.recordsMax, range.bytesMax)
    // What was fetched ahead may be older than what was acknowledged since. A single record tells no more than itself.
    const isAtEnd = cursor.isEmpty && !(isSpot && records.length > 0)
    if (isAtEnd && !isEndNew && !(await this.#fetchToEnd(consumer, cursor)))
      cursor.end = await this.#ends.end(range.topic, range.partition)
    await this.#passHoles(consumer, cursor)
    const next = cursor.settle()
    return { records, bytes, next, end: Math.max(cursor.fetchedTo, cursor.end), fetchedAt, topicId }
  }

  /**
   * One fetch that tells where the partition ends as well. Not if the broker did not answer, or transactions are under
   * way there: for those that are ending, the question for the end waits. It is asked as well of a leader met anew, whose
   * fetches begin before it knows its own end (KIP-207).
   */
  async #fetchToEnd(consumer: FetchingConsumer, cursor: ReadCursor): Promise<boolean> {
    if (!consumer.tellsEnds) return false
    const ends = await consumer.fetch(cursor, kafkaLimits.stalledReadMs)
    if (ends === undefined || ends.stable < ends.highest) return false
    const isKnown = cursor.confirmedBy === ends.connection
    cursor.end = isKnown ? ends.stable : await this.#ends.end(cursor.topic, cursor.partition)
    cursor.confirmedBy = ends.connection
    cursor.earliest = ends.earliest
    return true
  }

  /** There was something at this place: fetching it tells as well whether it is still there. */
  async #fillKnown(consumer: FetchingConsumer, cursor: ReadCursor, isSpot: boolean): Promise<boolean> {
    if (isSpot) {
      await this.#fill(consumer, cursor)
      return false
    }
    const end = this.#ends.end(cursor.topic, cursor.partition)
    await Promise.all([end, this.#fill(consumer, cursor)])
    cursor.end = await end
    return true
  }

  async close(): Promise<void> {
    await Promise.all([this.#streams.close(), this.#spots.close()])
  }

  async #checkRange(cursor: ReadCursor, offset: number): Promise<void> {
    const { topic, partition } = cursor
    cursor.end = await this.#ends.end(topic, partition)
    if (offset <= cursor.end && offset >= cursor.earliest) return
    cursor.earliest = await this.#ends.earliest(topic, partition)
    if (offset >= cursor.earliest && offset <= cursor.end) return
    throw outOfRange(`${topic}/${partition}`, cursor.earliest, cursor.end, offset)
  }

  /** A short rest may be markers and aborted records alone: then the reader is at the end, and is told so. */
  async #passHoles(consumer: FetchingConsumer, cursor: ReadCursor): Promise<void> {
    const rest = cursor.end - cursor.fetchedTo
    if (cursor.isEmpty && rest > 0 && rest <= kafkaLimits.holesPassedMax) await this.#fill(consumer, cursor)
  }

  /** Until there is a record, or all up to the end was passed. */
  async #fill(consumer: FetchingConsumer, cursor: ReadCursor): Promise<void> {
    const { clock } = this.#clients.platform
    const until = clock.monotonic() + this.#clients.operationMs
    while (cursor.isEmpty && cursor.fetchedTo < cursor.end) {
      if (clock.monotonic() > until) {
        throw new SemelError('ENGINE_UNAVAILABLE', `nothing comes from ${cursor.topic}/${cursor.partition}`, {
          retryable: true,
        })
      }
      const before = cursor.fetchedTo
      await consumer.fetch(cursor, kafkaLimits.stalledReadMs)
      if (cursor.fetchedTo === before) await this.#restart(cursor)
    }
  }

  /** Nothing came for long: retention may have passed the place, or an error of the partition got lost. */
  async #restart(cursor: ReadCursor): Promise<void> {
    const offset = cursor.fetchedTo
    cursor.moveTo(offset)
    cursor.earliest = Number.POSITIVE_INFINITY
    await this.#checkRange(cursor, offset)
  }
}

export function outOfRange(place: string, earliest: number, end: number, offset: number): SemelError {
  return new SemelError(
    'OFFSET_OUT_OF_RANGE',
    `${place} holds offsets ${earliest} to ${end}, not ${offset}`,
    {
      earliest,
      end,
      actual: offset,
    },
  )
}
