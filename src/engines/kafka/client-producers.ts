import type { EventRecord } from '../../event/event.ts'
import { type Clients, call } from './client.ts'
import type { Producer } from './client-types.ts'
import {
  type Delivery,
  listenForReports,
  type OutgoingBatch,
  type OutgoingRecord,
  send,
  sendUnreported,
} from './delivery.ts'
import type { EncodedEvent } from './encode-event.ts'
import { translated } from './kafka-errors.ts'
import type {
  PlainProducer,
  PreparedBatch,
  Producers,
  TransactionalProducer,
  UnitProducers,
} from './producers.ts'

export interface ClientBatch extends PreparedBatch {
  readonly records: readonly OutgoingRecord[]
}

export interface ClientStream extends PreparedBatch {
  readonly records: Iterable<OutgoingRecord>
}

export interface ClientProducerParts {
  readonly clients: Clients
  readonly transactionTimeoutMs: number
  readonly encode: (record: EventRecord) => EncodedEvent
}

/** Writes with the client: where only it can log in, or compresses. Its batches are its own affair, so none is whole. */
export class ClientProducers implements Producers<ClientBatch> {
  readonly plain: PlainProducer<ClientBatch>
  readonly #parts: ClientProducerParts

  constructor(parts: ClientProducerParts) {
    this.#parts = parts
    this.plain = new ClientPlain(parts.clients, () => opened(parts, undefined, true))
  }

  prepare(topic: string, partition: number, records: readonly EventRecord[]): ClientBatch {
    return this.prepareBare({ topic, partition, records: records.map(this.#parts.encode) })
  }

  prepareBare({ topic, partition, records }: OutgoingBatch): ClientBatch {
    return { topic, partition, records, count: records.length, isWhole: false }
  }

  async transactional(transactionalId: string): Promise<TransactionalProducer<ClientBatch>> {
    const producer = await opened(this.#parts, transactionalId, true)
    return { ...transactionsOf(this.#parts, producer), send: (batches) => send(producer, batches) }
  }
}

/** Writes units with the client: also where members of a group are known to it alone. A report of each record would be for nobody. */
export class ClientUnitProducers implements UnitProducers<ClientStream> {
  readonly #parts: ClientProducerParts

  constructor(parts: ClientProducerParts) {
    this.#parts = parts
  }

  prepare(topic: string, partition: number, records: readonly EventRecord[]): ClientStream {
    const stream = { [Symbol.iterator]: () => encoded(records, this.#parts.encode) }
    return { topic, partition, records: stream, count: records.length, isWhole: false }
  }

  prepareBare({ topic, partition, records }: OutgoingBatch): ClientStream {
    return { topic, partition, records, count: records.length, isWhole: false }
  }

  async transactional(transactionalId: string): Promise<TransactionalProducer<ClientStream>> {
    const producer = await opened(this.#parts, transactionalId, false)
    return { ...transactionsOf(this.#parts, producer), send: (batches) => sendUnreported(producer, batches) }
  }
}

function* encoded(
  records: readonly EventRecord[],
  encode: ClientProducerParts['encode'],
): Generator<OutgoingRecord, void> {
  for (const record of records) yield encode(record)
}

async function opened(
  { clients, transactionTimeoutMs }: ClientProducerParts,
  transactionalId: string | undefined,
  hasReports: boolean,
): Promise<Producer> {
  try {
    const producer = await clients.producer(transactionalId, transactionTimeoutMs, hasReports)
    if (hasReports) listenForReports(producer)
    return producer
  } catch (error) {
    throw translated(error, 'opening a producer', 'not-applied')
  }
}

function transactionsOf(
  { clients }: ClientProducerParts,
  producer: Producer,
): Omit<TransactionalProducer<never>, 'send'> {
  return {
    begin: () => call<void>((done) => producer.beginTransaction(done)),
    // With a consumer that is closed, this call would end the process, so it is looked at for each step.
    addOffsets: (offsets, member) =>
      clients.steps(producer, (ms, done) =>
        producer.sendOffsetsToTransaction(offsets, member.consumer(), ms, done),
      ),
    commit: () => clients.commit(producer),
    discard: () => clients.discard(producer),
    close: () => clients.disconnect(producer),
  }
}

class ClientPlain implements PlainProducer<ClientBatch> {
  readonly #clients: Clients
  readonly #open: () => Promise<Producer>
  readonly #underWay = new Set<Promise<void>>()
  #producer: Producer | undefined
  #opening: Promise<Producer> | undefined
  #leftBehind: Promise<unknown> = Promise.resolve()

  constructor(clients: Clients, open: () => Promise<Producer>) {
    this.#clients = clients
    this.#open = open
  }

  async send(batches: readonly ClientBatch[]): Promise<Delivery> {
    // What is left in a failed producer is still sent, and comes before this (P2).
    await this.#leftBehind
    const producer = await this.#opened()
    const delivery = send(producer, batches)
    const underWay = delivery.done.then(() => {
      this.#underWay.delete(underWay)
      if (delivery.failures.length > 0 && producer === this.#producer) this.#discard(producer)
    })
    this.#underWay.add(underWay)
    return delivery
  }

  async close(): Promise<void> {
    await Promise.all(this.#underWay)
    if (this.#producer !== undefined) await this.#clients.disconnect(this.#producer)
  }

  async #opened(): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer
    // Shared: of two producers, the one that was opened first could write last (P2).
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    this.#producer = await this.#opening
    return this.#producer
  }

  /**
   * What comes after a failed record must not be written with what is left in this producer. It is ended when all of that
   * has its report, as records still in it at its end would never get one.
   */
  #discard(producer: Producer): void {
    this.#producer = undefined
    this.#leftBehind = Promise.all(this.#underWay)
    const ended = this.#leftBehind
      .then(() => this.#clients.disconnect(producer))
      .then(() => {
        this.#underWay.delete(ended)
      })
    this.#underWay.add(ended)
  }
}
