import type { AppendBatch, EncodedRow } from '../engine/engine.ts'
import type { EngineFacts } from '../engine/facts.ts'
import { encodeBatch } from '../event/batch-codec.ts'
import type { EventRecord } from '../event/event.ts'
import type { Emitted } from './event-transaction.ts'

/**
 * What the open unit emits to one partition. Where the engine stores rows, events are encoded as soon as there are enough for
 * one: a unit is open for long, and thousands of records in it would outlive the young generation.
 */
export class EmittedBatch implements AppendBatch {
  readonly topic: string
  readonly partition: number
  readonly callOf = undefined
  readonly #rowSize: EngineFacts['emittedRows']
  records: EventRecord[] = []
  rows: EncodedRow[] | undefined
  fresh = true
  #chars = 0

  constructor(topic: string, partition: number, rowSize: EngineFacts['emittedRows']) {
    this.topic = topic
    this.partition = partition
    this.#rowSize = rowSize
  }

  add({ record, bytes, fresh }: Emitted): void {
    // An id that is not ours may have to be looked up, and the engine has other rows for such.
    if (!fresh) this.fresh = false
    if (this.#rowSize !== undefined && this.fresh) {
      const isFull = this.records.length === this.#rowSize.events || this.#chars + bytes > this.#rowSize.chars
      if (isFull && this.records.length > 0) this.#encode()
    }
    this.records.push(record)
    this.#chars += bytes
  }

  #encode(): void {
    this.rows ??= []
    this.rows.push({ count: this.records.length, ...encodeBatch(this.records, true) })
    this.records = []
    this.#chars = 0
  }
}
