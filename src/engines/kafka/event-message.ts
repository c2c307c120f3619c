import type { DataCopy, ReadResult } from '../../engine/engine.ts'
import { attributeNames, type EventAttributes, RawJson, type StoredEvent } from '../../event/event.ts'
import { jsonLike, jsonType } from './encode-event.ts'
import { EventHeaders, type LogRecord } from './log-record.ts'

/*
 * Reading events: in both content modes of CloudEvents' Kafka binding (`encode-event.ts`), mixed as they come. What a
 * plain producer wrote is an event too, named after its coordinates.
 */

const structuredType = /^application\/cloudevents\+json\b/

/** An event, and what makes its data anew from the text it came as. Bytes have none: a second copy may be large. */
interface Decoded {
  readonly event: StoredEvent
  readonly copy: DataCopy | undefined
}

/** Where records are from: those that name no source or id get one from there. `topic` is Semel's name of it. */
export interface Place {
  readonly topic: string
  readonly partition: number
}

/** What records say as events. */
export function decodeEvents(
  records: readonly LogRecord[],
  place: Place,
): Required<Pick<ReadResult, 'events' | 'copies'>> {
  const events = new Array<StoredEvent>(records.length)
  const copies = new Array<DataCopy | undefined>(records.length)
  for (let i = 0; i < records.length; i++) {
    const { event, copy } = decodeEvent(records[i]!, place)
    events[i] = event
    copies[i] = copy
  }
  return { events, copies }
}

const noHeaders: EventHeaders = new EventHeaders()

function decodeEvent(record: LogRecord, place: Place): Decoded {
  const headers = record.headers ?? noHeaders
  const { contentType } = headers
  if (headers.isEvent) return binaryEvent(record, headers, place)
  if (contentType !== undefined && structuredType.test(contentType)) {
    const decoded = structuredEvent(record, place)
    if (decoded !== undefined) return decoded
  }
  return plainEvent(record, contentType, place)
}

const placeId = ({ offset }: LogRecord, { topic, partition }: Place) => `${topic}/${partition}/${offset}`

function binaryEvent(record: LogRecord, headers: EventHeaders, place: Place): Decoded {
  const { id, source, type, time, contentType, kind, attributes } = headers
  const { data, copy } = decodeData(record.value, kind, contentType)
  const event = {
    id: id ?? placeId(record, place),
    source: source ?? `/kafka/${place.topic}`,
    type: type ?? place.topic,
    time: timeOf(time, record),
    key: record.key,
    data,
    attributes: withType(attributes, isImplied(kind, contentType) ? undefined : contentType),
    offset: record.offset,
    appendTime: record.timestamp,
  }
  return { event, copy }
}

function isImplied(kind: string | undefined, contentType: string | undefined): boolean {
  return kind === undefined ? contentType === jsonType : !kind.endsWith('typed')
}

function withType(
  attributes: EventAttributes | undefined,
  datacontenttype: string | undefined,
): EventAttributes | undefined {
  return datacontenttype === undefined ? attributes : { ...attributes, datacontenttype }
}

let lastTimeText = ''
let lastTime = Number.NaN

/** Most events have the time of the one before. */
function timeOf(text: string | undefined, { timestamp }: LogRecord): number {
  if (text === undefined) return timestamp
  if (text !== lastTimeText) {
    lastTimeText = text
    lastTime = Date.parse(text)
  }
  return Number.isNaN(lastTime) ? timestamp : lastTime
}

function attributesOf(member: (name: string) => unknown): EventAttributes | undefined {
  let found: Record<string, string | number> | undefined
  for (const name of attributeNames) {
    const value = member(name)
    if (value === undefined || value === null) continue
    found ??= {}
    found[name] = name === 'producersequence' ? Number(value) : String(value)
  }
  return found
}

interface DecodedData {
  readonly data: unknown
  readonly copy: DataCopy | undefined
}

function decodeData(
  value: Buffer | null,
  kind: string | undefined,
  contentType: string | undefined,
): DecodedData {
  if (value === null) return { data: null, copy: () => null }
  if (kind?.startsWith('raw')) return madeBy(rawJson, value.toString())
  const isJson =
    kind === undefined ? contentType !== undefined && jsonLike.test(contentType) : kind.startsWith('json')
  const made = isJson ? madeIfSound(JSON.parse, value.toString()) : undefined
  return made ?? { data: bytesOf(value), copy: undefined }
}

const rawJson = (text: string) => new RawJson(text)

/** Its own function, so that a copy holds the text and nothing else. */
function madeBy(make: (text: string) => unknown, text: string): DecodedData {
  return { data: make(text), copy: () => make(text) }
}

function madeIfSound(make: (text: string) => unknown, text: string): DecodedData | undefined {
  try {
    return madeBy(make, text)
  } catch {
    return undefined
  }
}

/** Bytes of its own: a message of the client may share its memory with others. */
function bytesOf(value: Buffer): Uint8Array {
  return new Uint8Array(value)
}

/** The whole event as JSON in the record's value. */
function structuredEvent(record: LogRecord, place: Place): Decoded | undefined {
  const text = record.value?.toString() ?? ''
  const envelope = madeIfSound(JSON.parse, text)?.data
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) return undefined
  const member = (name: string): unknown => Reflect.get(envelope, name)
  const textOf = (name: string): string | undefined => {
    const value = member(name)
    return typeof value === 'string' ? value : undefined
  }
  const base64 = textOf('data_base64')
  const event = {
    id: textOf('id') ?? placeId(record, place),
    source: textOf('source') ?? `/kafka/${place.topic}`,
    type: textOf('type') ?? place.topic,
    time: timeOf(textOf('time'), record),
    key: record.key,
    data: base64 === undefined ? (member('data') ?? null) : bytesOf(Buffer.from(base64, 'base64')),
    attributes: attributesOf(member),
    offset: record.offset,
    appendTime: record.timestamp,
  }
  return { event, copy: base64 === undefined ? dataOfEnvelope(text) : undefined }
}

function dataOfEnvelope(text: string): DataCopy {
  return () => JSON.parse(text).data ?? null
}

function plainEvent(record: LogRecord, contentType: string | undefined, place: Place): Decoded {
  const { data, copy } = decodeData(record.value, undefined, contentType)
  const event = {
    id: placeId(record, place),
    source: `/kafka/${place.topic}`,
    type: place.topic,
    time: record.timestamp,
    key: record.key,
    data,
    attributes: contentType === undefined ? undefined : { datacontenttype: contentType },
    offset: record.offset,
    appendTime: record.timestamp,
  }
  return { event, copy }
}
