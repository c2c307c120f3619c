import type { Outcome } from '../../errors.ts'
import type { DeliveryReport, Producer } from './client-types.ts'
import type { EncodedEvent } from './encode-event.ts'

/** Records for one partition, in their order. */
export interface OutgoingBatch {
  /** Kafka's name. */
  readonly topic: string
  readonly partition: number
  readonly records: readonly OutgoingRecord[]
}

export interface OutgoingRecord {
  readonly key: string | null
  readonly value: string | Buffer | null
  readonly headers?: EncodedEvent['headers']
}

interface Failure {
  readonly batch: number
  readonly index: number
  readonly error: Error
  readonly outcome: Outcome
}

/** What becomes of records that were handed over together: each gets an offset or an error. */
export class Delivery {
  /** By batch and record; -1 where there is none yet, or never will be. */
  readonly offsets: readonly number[][]
  readonly failures: Failure[] = []
  readonly done: Promise<void>
  #left = 0
  #end!: () => void

  /** `counts`: how many records each batch has. */
  constructor(counts: readonly number[]) {
    this.offsets = counts.map((count) => new Array<number>(count).fill(-1))
    for (const count of counts) this.#left += count
    this.done = new Promise((resolve) => {
      this.#end = resolve
    })
    if (this.#left === 0) this.#end()
  }

  /** Records `from` to `from + count` of a batch are written, the first of them at this offset. */
  written(batch: number, from: number, count: number, offset: number): void {
    if (offset < 0) {
      this.failed(batch, from, count, placeless(), 'unknown')
      return
    }
    const offsets = this.offsets[batch]!
    for (let i = 0; i < count; i++) offsets[from + i] = offset + i
    this.#pass(count)
  }

  failed(batch: number, from: number, count: number, error: Error, outcome: Outcome): void {
    for (let i = 0; i < count; i++) this.failures.push({ batch, index: from + i, error, outcome })
    this.#pass(count)
  }

  #pass(count: number): void {
    this.#left -= count
    if (this.#left === 0) this.#end()
  }
}

const noAnswer = -185

/** A broker that got a record twice does not say where the first one is: an answer without an offset is none. */
function placeless(): Error {
  return Object.assign(new Error('the broker did not say where the event is'), { code: noAnswer })
}

/** What travels with a record through the client and comes back with its report. */
interface Ticket {
  readonly delivery: Delivery
  readonly batch: number
  readonly index: number
}

/** Must be called once for a producer before `send`. */
export function listenForReports(producer: Producer): void {
  producer.on('delivery-report', (error: Error | null, { opaque, offset }: DeliveryReport) => {
    // What comes back is what `send` gave.
    const { delivery, batch, index } = opaque as Ticket
    if (error) delivery.failed(batch, index, 1, error, 'unknown')
    else delivery.written(batch, index, 1, offset)
  })
}

/** Records that are made one by one as they are sent: a unit's would be in memory three times at once. */
export interface OutgoingStream extends Omit<OutgoingBatch, 'records'> {
  readonly records: Iterable<OutgoingRecord>
}

/** Hands all records to a client that reports none: the commit tells whether all got there. Throws what is refused at once. */
export function sendUnreported(producer: Producer, batches: readonly OutgoingStream[]): Delivery {
  for (const { topic, partition, records } of batches) {
    for (const { key, value, headers } of records)
      producer.produce(topic, partition, bytesOf(value), key, null, undefined, headers)
  }
  return new Delivery([])
}

const bytesOf = (value: OutgoingRecord['value']) => (typeof value === 'string' ? Buffer.from(value) : value)

/** Hands all records to the client. What it refuses at once is a failure like any other. */
export function send(producer: Producer, batches: readonly OutgoingBatch[]): Delivery {
  const delivery = new Delivery(batches.map(({ records }) => records.length))
  for (const [b, { topic, partition, records }] of batches.entries()) {
    for (let i = 0; i < records.length; i++) {
      const { key, value, headers } = records[i]!
      const ticket: Ticket = { delivery, batch: b, index: i }
      try {
        producer.produce(topic, partition, bytesOf(value), key, null, ticket, headers)
      } catch (error) {
        // Refused at once, so nobody has got it.
        delivery.failed(b, i, 1, error instanceof Error ? error : new Error(String(error)), 'not-applied')
      }
    }
  }
  return delivery
}
