import type { AppendBatch } from '../engine/engine.ts'
import { SemelError } from '../errors.ts'
import { checkData } from '../event/check-data.ts'
import { type EventData, type EventRecord, JsonText, RawJson } from '../event/event.ts'
import { type IdSource, makeRecord } from '../event/make-record.ts'
import { partitionOfKey } from '../event/partition-of-key.ts'
import type { PublishAttributes } from '../event/topic.ts'

/** What routing an event needs to know of its topic. */
export interface RoutedTopic {
  readonly name: string
  readonly partitions: number
  readonly key: ((data: never) => string | null) | undefined
  readonly type: string
  readonly source: string
}

/** One event of a call, after the topic's schema had its say. */
export interface CheckedEvent {
  readonly topic: RoutedTopic
  readonly data: unknown
  readonly attributes: PublishAttributes | undefined
}

/** A publish call, checked and split by partition: what the publisher queues. */
export interface PreparedCall {
  readonly batches: readonly MutableBatch[]
  /** Batch of each event, in the caller's order; its index follows from the order. */
  readonly batchOf: readonly number[]
  readonly events: number
  /** About what it holds in memory. */
  readonly bytes: number
}

export interface MutableBatch extends AppendBatch {
  readonly records: OwnRecord[]
  fresh: boolean
}

interface OwnRecord extends EventRecord {
  data: EventData
}

/** Rough bytes of an event beside its data, for queue bounds. */
const envelopeBytes = 100
const onlyBatch: readonly number[] = [0]

/** Spreads keyless events over partitions in turn. */
export class RoundRobin {
  #next = 0
  partition(partitions: number): number {
    this.#next = (this.#next + 1) % 1_048_576
    return this.#next % partitions
  }
}

/**
 * Checks a whole call and builds its records. Throws for the first bad event with its index; nothing is queued
 * then, so the outcome is `not-applied` for all of them.
 */
export class CallPreparer {
  readonly #ids: IdSource
  readonly #now: () => number
  readonly #roundRobin = new RoundRobin()

  constructor(ids: IdSource, now: () => number) {
    this.#ids = ids
    this.#now = now
  }

  prepare(events: readonly CheckedEvent[]): PreparedCall {
    if (events.length === 1) return this.#prepareOne(events[0]!)
    const now = this.#now()
    const batches: MutableBatch[] = []
    const batchOf = new Array<number>(events.length)
    const byTopic = new Map<string, (number | undefined)[]>()
    let bytes = 0
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      bytes += envelopeBytes + checkAt(event.data, i)
      const record = this.#record(event, now, i)
      const { topic } = event
      const partition = this.#partition(record, topic)
      let byPartition = byTopic.get(topic.name)
      if (byPartition === undefined) {
        byPartition = []
        byTopic.set(topic.name, byPartition)
      }
      let batch = byPartition[partition]
      if (batch === undefined) {
        batch = batches.length
        byPartition[partition] = batch
        batches.push({ topic: topic.name, partition, records: [], callOf: undefined, fresh: true })
      }
      const target = batches[batch]!
      target.records.push(record)
      if (event.attributes?.id !== undefined) target.fresh = false
      batchOf[i] = batch
    }
    return { batches, batchOf, events: events.length, bytes }
  }

  /** The same for most calls, without what finds the batch of each event. */
  #prepareOne(event: CheckedEvent): PreparedCall {
    const bytes = envelopeBytes + checkData(event.data)
    const record = this.#record(event, this.#now(), 0)
    const partition = this.#partition(record, event.topic)
    const fresh = event.attributes?.id === undefined
    const batch = { topic: event.topic.name, partition, records: [record], callOf: undefined, fresh }
    return { batches: [batch], batchOf: onlyBatch, events: 1, bytes }
  }

  #record(event: CheckedEvent, now: number, index: number): EventRecord {
    try {
      return makeRecord(event.data, event.attributes, event.topic, keyOf(event), now, this.#ids)
    } catch (error) {
      throw atIndex(error, index)
    }
  }

  #partition(record: EventRecord, topic: RoutedTopic): number {
    if (topic.partitions === 1) return 0
    if (record.key === null) return this.#roundRobin.partition(topic.partitions)
    return partitionOfKey(record.key, topic.partitions)
  }
}

/** The key by the topic's function, unless the event names its own. */
export function keyOf(event: {
  readonly topic: Pick<RoutedTopic, 'key'>
  readonly data: unknown
  readonly attributes: PublishAttributes | undefined
}): string | null {
  const { key } = event.topic
  if (key === undefined || event.attributes?.key !== undefined) return null
  // Raw text is parsed once more for its key: its owner asked for bytes to be kept, not for speed.
  const data: unknown = event.data instanceof RawJson ? event.data.parse() : event.data
  const value: string | null | undefined = Reflect.apply(key, undefined, [data])
  return value ?? null
}

/** Replaces each record's data by what is ours alone, so that its owner may change the data from now on. */
export function snapshot(call: PreparedCall): PreparedCall {
  for (const { records } of call.batches) for (const record of records) record.data = ownData(record.data)
  return call
}

/** A form of checked data that no later change by its owner can reach: a flat copy, which costs less than text, or text. */
export function ownData(data: unknown): EventData {
  if (typeof data !== 'object' || data === null) return data
  if (data instanceof RawJson || data instanceof JsonText) return data
  if (Array.isArray(data) || data instanceof Uint8Array) return snapshotData(data)
  // What was copied is looked at, not what a getter may answer next.
  const copy = copyOf(data)
  return isFlat(copy) ? copy : snapshotData(copy)
}

function copyOf(data: object): Readonly<Record<string, unknown>> {
  try {
    return { ...data }
  } catch (cause) {
    throw changed(cause)
  }
}

/** Whether nothing in it can change. */
function isFlat(copy: Readonly<Record<string, unknown>>): boolean {
  for (const name in copy) if (!isScalar(copy[name])) return false
  return true
}

function isScalar(value: unknown): boolean {
  return (
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null
  )
}

/** The same as text or bytes. */
export function snapshotData(data: unknown): JsonText | RawJson | Uint8Array {
  if (data instanceof RawJson || data instanceof JsonText) return data
  if (data instanceof Uint8Array) return Uint8Array.from(data)
  try {
    return new JsonText(JSON.stringify(data))
  } catch (cause) {
    throw changed(cause)
  }
}

function changed(cause: unknown): SemelError {
  return new SemelError('INVALID_DATA', 'data changed while it was read', { field: 'data', cause })
}

function checkAt(data: unknown, index: number): number {
  try {
    return checkData(data)
  } catch (error) {
    throw atIndex(error, index)
  }
}

/** The same error, telling which event of the call it is about. */
export function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof SemelError) || index === 0) return error
  return new SemelError(error.code, `event ${index}: ${error.message}`, {
    ...error.toJSON(),
    cause: error.cause,
    index,
  })
}
