import type { Clients } from './client.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { RecordRange } from './partition-reader.ts'
import type { FetchingConsumer } from './read-consumer.ts'
import { ReadCursor } from './read-cursor.ts'

/** A cursor that nobody else uses until it is given back, and the consumer that fetches for it. */
export interface Seat {
  readonly consumer: FetchingConsumer
  readonly cursor: ReadCursor
}

/**
 * Consumers that read for whoever asks. Each has one cursor of a partition, so readers at several places of it need
 * several. A cursor that is moved loses what was fetched for it, and with it the work of whoever goes on there: that of
 * a live reader is taken away only when there may be no more consumers.
 */
export class ReaderPool {
  readonly #clients: Clients
  readonly #open: () => Promise<FetchingConsumer>
  readonly #consumersMax: number
  readonly #consumers: FetchingConsumer[] = []
  readonly #waiters: (() => void)[] = []
  #opening: Promise<void> | undefined

  constructor(clients: Clients, open: () => Promise<FetchingConsumer>, consumersMax: number) {
    this.#clients = clients
    this.#open = open
    this.#consumersMax = consumersMax
  }

  async seat(range: RecordRange): Promise<Seat> {
    for (;;) {
      const seat = this.going(range) ?? this.#free(range)
      if (seat !== undefined) {
        seat.cursor.isBusy = true
        return seat
      }
      if (this.#consumers.length < this.#consumersMax) await this.#openConsumer()
      else await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }

  release({ cursor }: Seat): void {
    cursor.isBusy = false
    cursor.usedAt = this.#clients.platform.clock.monotonic()
    for (const wake of this.#waiters.splice(0)) wake()
  }

  /** The idle cursor that stands where the range begins. */
  going({ topic, partition, offset }: RecordRange): Seat | undefined {
    for (const consumer of this.#consumers) {
      const cursor = consumer.cursor(topic, partition)
      if (cursor !== undefined && !cursor.isBusy && cursor.position === offset) return { consumer, cursor }
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    await Promise.all(this.#consumers.map((consumer) => consumer.close()))
  }

  #free({ topic, partition, offset }: RecordRange): Seat | undefined {
    for (const consumer of this.#consumers) {
      if (consumer.cursor(topic, partition) !== undefined) continue
      const cursor = new ReadCursor(topic, partition, offset)
      consumer.add(cursor)
      return { consumer, cursor }
    }
    const idle = this.#longestIdle(topic, partition)
    if (idle === undefined) return undefined
    const mayOpen = this.#consumers.length < this.#consumersMax
    if (mayOpen && this.#isLive(idle.cursor)) return undefined
    idle.cursor.moveTo(offset)
    return idle
  }

  #longestIdle(topic: string, partition: number): Seat | undefined {
    let idle: Seat | undefined
    for (const consumer of this.#consumers) {
      const cursor = consumer.cursor(topic, partition)!
      if (!cursor.isBusy && (idle === undefined || cursor.usedAt < idle.cursor.usedAt))
        idle = { consumer, cursor }
    }
    return idle
  }

  /** Whether somebody seems to go on there. With nothing fetched ahead, less is lost by being wrong. */
  #isLive(cursor: ReadCursor): boolean {
    const idleMs = this.#clients.platform.clock.monotonic() - cursor.usedAt
    return idleMs < (cursor.isEmpty ? kafkaLimits.cursorIdleMs : kafkaLimits.readerIdleMs)
  }

  async #openConsumer(): Promise<void> {
    this.#opening ??= this.#open()
      .then((consumer) => {
        this.#consumers.push(consumer)
      })
      .finally(() => {
        this.#opening = undefined
      })
    await this.#opening
  }
}
