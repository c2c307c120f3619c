import { SemelError } from '../../errors.ts'
import type { Clients } from './client.ts'
import type { Message } from './client-types.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { LogEnds } from './log-ends.ts'
import { ReadConsumer } from './read-consumer.ts'
import { ReadCursor } from './read-cursor.ts'

export interface Records {
  readonly records: readonly Message[]
  readonly next: number
  readonly end: number
}

export interface RecordRange {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly recordsMax: number
  readonly bytesMax: number
}

interface Seat {
  readonly consumer: ReadConsumer
  readonly cursor: ReadCursor
}

/**
 * Reads any partition from any offset. Who goes on where it stopped gets what was fetched ahead; readers at other
 * places of the same partition get a consumer of their own, up to `readersMax`.
 */
export class PartitionReader {
  readonly #clients: Clients
  readonly #ends: LogEnds
  readonly #group: string
  readonly #consumers: ReadConsumer[] = []
  #opening: Promise<void> | undefined
  readonly #waiters: (() => void)[] = []

  constructor(clients: Clients, ends: LogEnds, group: string) {
    this.#clients = clients
    this.#ends = ends
    this.#group = group
  }

  /** OFFSET_OUT_OF_RANGE below the earliest retained offset and above the stable end (R3). */
  async read(range: RecordRange): Promise<Records> {
    const { consumer, cursor } = await this.#seat(range)
    try {
      await consumer.meet(range.topic)
      if (cursor.isEmpty) {
        await this.#checkRange(cursor, range.offset)
        await this.#fill(consumer, cursor)
      }
      const records = cursor.take(range.recordsMax, range.bytesMax)
      // What was fetched ahead may be older than what was acknowledged since.
      if (cursor.isEmpty) cursor.end = await this.#ends.end(range.topic, range.partition)
      await this.#passHoles(consumer, cursor)
      const next = cursor.position
      return { records, next, end: Math.max(next, cursor.end) }
    } finally {
      cursor.isBusy = false
      cursor.usedAt = this.#clients.platform.clock.monotonic()
      for (const wake of this.#waiters.splice(0)) wake()
    }
  }

  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    await Promise.all(this.#consumers.map((consumer) => consumer.close()))
  }

  async #checkRange(cursor: ReadCursor, offset: number): Promise<void> {
    const { topic, partition } = cursor
    const isNew = cursor.end === 0
    cursor.end = await this.#ends.end(topic, partition)
    if (offset <= cursor.end && !isNew) return
    const earliest = await this.#ends.earliest(topic, partition)
    if (offset >= earliest && offset <= cursor.end) return
    throw outOfRange(`${topic}/${partition}`, earliest, cursor.end, offset)
  }

  /** A short rest may be markers and aborted records alone: then the reader is at the end, and is told so. */
  async #passHoles(consumer: ReadConsumer, cursor: ReadCursor): Promise<void> {
    const rest = cursor.end - cursor.fetchedTo
    if (cursor.isEmpty && rest > 0 && rest <= kafkaLimits.holesPassedMax) await this.#fill(consumer, cursor)
  }

  /** Until there is a record, or all up to the end was passed. */
  async #fill(consumer: ReadConsumer, cursor: ReadCursor): Promise<void> {
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
    await this.#checkRange(cursor, offset)
  }

  async #seat(range: RecordRange): Promise<Seat> {
    for (;;) {
      const seat = this.#going(range) ?? this.#free(range)
      if (seat !== undefined) {
        seat.cursor.isBusy = true
        return seat
      }
      if (this.#consumers.length < kafkaLimits.readersMax) await this.#openConsumer()
      else await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }

  /** The cursor that stands where the range begins. */
  #going({ topic, partition, offset }: RecordRange): Seat | undefined {
    for (const consumer of this.#consumers) {
      const cursor = consumer.cursor(topic, partition)
      if (cursor !== undefined && !cursor.isBusy && cursor.position === offset) return { consumer, cursor }
    }
    return undefined
  }

  #free({ topic, partition, offset }: RecordRange): Seat | undefined {
    for (const consumer of this.#consumers) {
      if (consumer.cursor(topic, partition) !== undefined) continue
      const cursor = new ReadCursor(topic, partition, offset)
      consumer.add(cursor)
      return { consumer, cursor }
    }
    return this.#longestIdle(topic, partition, offset)
  }

  #longestIdle(topic: string, partition: number, offset: number): Seat | undefined {
    let idle: Seat | undefined
    for (const consumer of this.#consumers) {
      const cursor = consumer.cursor(topic, partition)!
      if (!cursor.isBusy && (idle === undefined || cursor.usedAt < idle.cursor.usedAt))
        idle = { consumer, cursor }
    }
    if (idle === undefined) return undefined
    const idleMs = this.#clients.platform.clock.monotonic() - idle.cursor.usedAt
    const mayOpen = this.#consumers.length < kafkaLimits.readersMax
    if (idleMs < kafkaLimits.readerIdleMs && mayOpen && this.#consumers.length > 1) return undefined
    idle.cursor.moveTo(offset)
    return idle
  }

  async #openConsumer(): Promise<void> {
    this.#opening ??= ReadConsumer.open(this.#clients, this.#group)
      .then((consumer) => {
        this.#consumers.push(consumer)
      })
      .finally(() => {
        this.#opening = undefined
      })
    await this.#opening
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
