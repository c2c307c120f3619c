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

/** What a record says as an event. `topic` is Semel's name of the topic. */
export function decodeEvent(message: Message, topic: string): StoredEvent {
  const headers = headersOf(message)
  const contentType = headers.get('content-type')
  if (headers.has('ce_specversion')) return binaryEvent(message, headers, contentType, topic)
  if (contentType !== undefined && structuredType.test(contentType)) {
    const event = structuredEvent(message, topic)
    if (event !== undefined) return event
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
): StoredEvent {
  const kind = headers.get(kindHeader)
  const isImplied = kind !== undefined && !kind.endsWith('typed')
  const time = headers.get('ce_time')
  return {
    id: headers.get('ce_id') ?? placeId(message, topic),
    source: headers.get('ce_source') ?? `/kafka/${topic}`,
    type: headers.get('ce_type') ?? topic,
    time: timeOf(time, message),
    key: keyOf(message),
    data: decodeData(message.value, kind, contentType),
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

function decodeData(
  value: Buffer | null,
  kind: string | undefined,
  contentType: string | undefined,
): unknown {
  if (value === null) return null
  if (kind?.startsWith('raw')) return new RawJson(value.toString())
  const isJson =
    kind === undefined ? contentType !== undefined && jsonLike.test(contentType) : kind.startsWith('json')
  if (isJson) {
    const parsed = parsedOrNothing(value.toString())
    if (parsed !== undefined) return parsed.value
  }
  return bytesOf(value)
}

/** Bytes of its own: a message of the client may share its memory with others. */
function bytesOf(value: Buffer): Uint8Array {
  return new Uint8Array(value)
}

function parsedOrNothing(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** The whole event as JSON in the record's value. */
function structuredEvent(message: Message, topic: string): StoredEvent | undefined {
  const envelope = parsedOrNothing(message.value?.toString() ?? '')?.value
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) return undefined
  const member = (name: string): unknown => Reflect.get(envelope, name)
  const textOf = (name: string): string | undefined => {
    const value = member(name)
    return typeof value === 'string' ? value : undefined
  }
  const base64 = textOf('data_base64')
  return {
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
}

function plainEvent(message: Message, contentType: string | undefined, topic: string): StoredEvent {
  return {
    id: placeId(message, topic),
    source: `/kafka/${topic}`,
    type: topic,
    time: message.timestamp,
    key: keyOf(message),
    data: decodeData(message.value, undefined, contentType),
    attributes: contentType === undefined ? undefined : { datacontenttype: contentType },
    offset: message.offset,
    appendTime: message.timestamp,
  }
}
