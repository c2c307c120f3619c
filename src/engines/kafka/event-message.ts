import type { DataCopy, ReadResult } from '../../engine/engine.ts'
import { attributeNames, type EventAttributes, RawJson, type StoredEvent } from '../../event/event.ts'
import type { Message } from './client-types.ts'
import { jsonLike, kindHeader } from './encode-event.ts'

/*
 * Reading events: in both content modes of CloudEvents' Kafka binding (`encode-event.ts`), mixed as they come. What a
 * plain producer wrote is an event too, named after its coordinates.
 */

/** Headers of the optional attributes; the content type has a name of its own. */
const headerNames = Object.fromEntries(attributeNames.map((name) => [name, `ce_${name}`]))
const structuredType = /^application\/cloudevents\+json\b/

/** An event, and what makes its data anew from the text it came as. Bytes have none: a second copy may be large. */
interface Decoded {
  readonly event: StoredEvent
  readonly copy: DataCopy | undefined
}

/** What records say as events. `topic` is Semel's name of the topic. */
export function decodeEvents(
  messages: readonly Message[],
  topic: string,
): Required<Pick<ReadResult, 'events' | 'copies'>> {
  const events = new Array<StoredEvent>(messages.length)
  const copies = new Array<DataCopy | undefined>(messages.length)
  for (let i = 0; i < messages.length; i++) {
    const { event, copy } = decodeEvent(messages[i]!, topic)
    events[i] = event
    copies[i] = copy
  }
  return { events, copies }
}

function decodeEvent(message: Message, topic: string): Decoded {
  const headers = headersOf(message)
  const contentType = headers.get('content-type')
  if (headers.has('ce_specversion')) return binaryEvent(message, headers, contentType, topic)
  if (contentType !== undefined && structuredType.test(contentType)) {
    const decoded = structuredEvent(message, topic)
    if (decoded !== undefined) return decoded
  }
  return plainEvent(message, contentType, topic)
}

const keyOf = ({ key }: Message) => (key === null ? null : key.toString())
const placeId = ({ partition, offset }: Message, topic: string) => `${topic}/${partition}/${offset}`

function headersOf({ headers }: Message): Map<string, string> {
  const texts = new Map<string, string>()
  if (headers === undefined) return texts
  for (const header of headers) {
    for (const name in header) texts.set(name, header[name]!.toString())
  }
  return texts
}

function binaryEvent(
  message: Message,
  headers: ReadonlyMap<string, string>,
  contentType: string | undefined,
  topic: string,
): Decoded {
  const kind = headers.get(kindHeader)
  const isImplied = kind !== undefined && !kind.endsWith('typed')
  const time = headers.get('ce_time')
  const { data, copy } = decodeData(message.value, kind, contentType)
  const event = {
    id: headers.get('ce_id') ?? placeId(message, topic),
    source: headers.get('ce_source') ?? `/kafka/${topic}`,
    type: headers.get('ce_type') ?? topic,
    time: timeOf(time, message),
    key: keyOf(message),
    data,
    attributes: attributesOf((name) => {
      return name === 'datacontenttype'
        ? isImplied
          ? undefined
          : contentType
        : headers.get(headerNames[name]!)
    }),
    offset: message.offset,
    appendTime: message.timestamp,
  }
  return { event, copy }
}

let lastTimeText = ''
let lastTime = Number.NaN

/** Most events have the time of the one before. */
function timeOf(text: string | undefined, { timestamp }: Message): number {
  if (text === undefined) return timestamp
  if (text !== lastTimeText) {
    lastTimeText = text
    lastTime = Date.parse(text)
  }
  return Number.isNaN(lastTime) ? timestamp : lastTime
}

function attributesOf(find: (name: (typeof attributeNames)[number]) => unknown): EventAttributes | undefined {
  let found: Record<string, string | number> | undefined
  for (const name of attributeNames) {
    const value = find(name)
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
function structuredEvent(message: Message, topic: string): Decoded | undefined {
  const text = message.value?.toString() ?? ''
  const envelope = madeIfSound(JSON.parse, text)?.data
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) return undefined
  const member = (name: string): unknown => Reflect.get(envelope, name)
  const textOf = (name: string): string | undefined => {
    const value = member(name)
    return typeof value === 'string' ? value : undefined
  }
  const base64 = textOf('data_base64')
  const event = {
    id: textOf('id') ?? placeId(message, topic),
    source: textOf('source') ?? `/kafka/${topic}`,
    type: textOf('type') ?? topic,
    time: timeOf(textOf('time'), message),
    key: keyOf(message),
    data: base64 === undefined ? (member('data') ?? null) : bytesOf(Buffer.from(base64, 'base64')),
    attributes: attributesOf(member),
    offset: message.offset,
    appendTime: message.timestamp,
  }
  return { event, copy: base64 === undefined ? dataOfEnvelope(text) : undefined }
}

function dataOfEnvelope(text: string): DataCopy {
  return () => JSON.parse(text).data ?? null
}

function plainEvent(message: Message, contentType: string | undefined, topic: string): Decoded {
  const { data, copy } = decodeData(message.value, undefined, contentType)
  const event = {
    id: placeId(message, topic),
    source: `/kafka/${topic}`,
    type: topic,
    time: message.timestamp,
    key: keyOf(message),
    data,
    attributes: contentType === undefined ? undefined : { datacontenttype: contentType },
    offset: message.offset,
    appendTime: message.timestamp,
  }
  return { event, copy }
}
