import { attributeNames, type EventRecord, JsonText, RawJson } from '../../event/event.ts'
import type { Headers } from './client-types.ts'

/*
 * CloudEvents in their Kafka binding
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md). In binary mode
 * attributes are headers that begin with `ce_` and data is the record's value. In structured mode the value is the
 * whole event as JSON, with one header that says so. In both the partition key is the record's key.
 */

/** How events are written: readers understand both. */
export type ContentMode = 'binary' | 'structured'
export const contentModes = ['binary', 'structured'] as const satisfies readonly ContentMode[]

export interface EncodedEvent {
  readonly key: Buffer | null
  readonly value: Buffer
  readonly headers: Headers
}

/** The extension that says how data was given, which the content type alone does not tell. */
export const kindHeader = 'ce_semeldata'
export const jsonLike = /^application\/(.*\+)?json\b|^text\/json\b/
const jsonType = 'application/json'
const bytesType = 'application/octet-stream'
const structuredHeaders: Headers = [{ 'content-type': 'application/cloudevents+json; charset=UTF-8' }]

export function encoderOf(mode: ContentMode): (record: EventRecord) => EncodedEvent {
  if (mode === 'binary') return encodeBinary
  return (record) => (isStructurable(record) ? encodeStructured(record) : encodeBinary(record))
}

/** Text that is kept byte for byte, bytes, and data that is called something else than JSON stay bare in the value. */
function isStructurable({ data, attributes }: EventRecord): boolean {
  const given = attributes?.datacontenttype
  return kindOf(data) === 'json' && (given === undefined || jsonLike.test(given))
}

function encodeStructured({ id, source, type, time, key, data, attributes }: EventRecord): EncodedEvent {
  let members = `"specversion":"1.0","id":${JSON.stringify(id)},"source":${JSON.stringify(source)},"type":${JSON.stringify(type)},"time":"${timeText(time)}"`
  if (attributes !== undefined) {
    for (const name of attributeNames) {
      const value = attributes[name]
      // Also numbers as texts: those of the JSON format have no more than 32 bits.
      if (value !== undefined) members += `,"${name}":${JSON.stringify(String(value))}`
    }
  }
  return {
    key: keyBytes(key),
    value: Buffer.from(`{${members},"data":${jsonText(data)}}`),
    headers: structuredHeaders,
  }
}

function encodeBinary({ id, source, type, time, key, data, attributes }: EventRecord): EncodedEvent {
  const kind = kindOf(data)
  const given = attributes?.datacontenttype
  const contentType = given ?? (kind === 'bytes' ? bytesType : jsonType)
  const headers: Record<string, string>[] = [
    { ce_specversion: '1.0' },
    { ce_id: id },
    { ce_source: source },
    { ce_type: type },
    { ce_time: timeText(time) },
    { 'content-type': contentType },
    { [kindHeader]: given === undefined ? kind : `${kind}, typed` },
  ]
  if (attributes !== undefined) {
    for (const name of attributeNames) {
      const value = attributes[name]
      if (value !== undefined && name !== 'datacontenttype') headers.push({ [`ce_${name}`]: String(value) })
    }
  }
  return { key: keyBytes(key), value: dataBytes(data), headers }
}

function kindOf(data: unknown): 'json' | 'raw' | 'bytes' {
  if (data instanceof RawJson) return 'raw'
  return data instanceof Uint8Array ? 'bytes' : 'json'
}

const keyBytes = (key: string | null) => (key === null ? null : Buffer.from(key))
const jsonText = (data: unknown) => (data instanceof JsonText ? data.text : JSON.stringify(data))

let lastTime = 0
let lastTimeText = ''

/** Most events have the time of the one before. */
function timeText(time: number): string {
  if (time !== lastTime || lastTimeText === '') {
    lastTime = time
    lastTimeText = new Date(time).toISOString()
  }
  return lastTimeText
}

function dataBytes(data: unknown): Buffer {
  if (data instanceof Uint8Array) return Buffer.from(data)
  return Buffer.from(data instanceof RawJson ? data.text : jsonText(data))
}
