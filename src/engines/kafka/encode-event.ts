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
  readonly key: string | null
  readonly value: Buffer
  readonly headers: Headers
}

/**
 * The extension that says how data was given, where the content type alone does not tell. Without it, `application/json` is
 * what data is that was given without a content type: one header less for most events. (Until November 2026 they had it.)
 */
export const kindHeader = 'ce_semeldata'
export const jsonLike = /^application\/(.*\+)?json\b|^text\/json\b/
export const jsonType = 'application/json'
const bytesType = 'application/octet-stream'
/** Shared by all records that have them. */
const versionHeader = { ce_specversion: '1.0' }
const jsonTypeHeader = { 'content-type': jsonType }
export const structuredType = 'application/cloudevents+json; charset=UTF-8'
const structuredHeaders: Headers = [{ 'content-type': structuredType }]

export function encoderOf(mode: ContentMode): (record: EventRecord) => EncodedEvent {
  if (mode === 'binary') return encodeBinary
  return (record) => (isStructurable(record) ? encodeStructured(record) : encodeBinary(record))
}

/** Text that is kept byte for byte, bytes, and data that is called something else than JSON stay bare in the value. */
export function isStructurable({ data, attributes }: EventRecord): boolean {
  const given = attributes?.datacontenttype
  return kindOf(data) === 'json' && (given === undefined || jsonLike.test(given))
}

function encodeStructured(record: EventRecord): EncodedEvent {
  return { key: record.key, value: Buffer.from(structuredText(record)), headers: structuredHeaders }
}

export function structuredText({ id, source, type, time, data, attributes }: EventRecord): string {
  let members = `"specversion":"1.0","id":${JSON.stringify(id)},"source":${JSON.stringify(source)},"type":${JSON.stringify(type)},"time":"${timeText(time)}"`
  if (attributes !== undefined) {
    for (const name of attributeNames) {
      const value = attributes[name]
      // Also numbers as texts: those of the JSON format have no more than 32 bits.
      if (value !== undefined) members += `,"${name}":${JSON.stringify(String(value))}`
    }
  }
  return `{${members},"data":${jsonText(data)}}`
}

function encodeBinary({ id, source, type, time, key, data, attributes }: EventRecord): EncodedEvent {
  const headers: Header[] = [
    versionHeader,
    { ce_id: id },
    sourceHeader(source),
    typeHeader(type),
    timeHeader(timeText(time)),
  ]
  const { contentType, kind } = saidOf(kindOf(data), attributes?.datacontenttype)
  headers.push(contentType === jsonType ? jsonTypeHeader : { 'content-type': contentType })
  if (kind !== undefined) headers.push({ [kindHeader]: kind })
  if (attributes !== undefined) {
    for (const name of attributeNames) {
      const value = attributes[name]
      if (value !== undefined && name !== 'datacontenttype') headers.push({ [`ce_${name}`]: String(value) })
    }
  }
  return { key, value: dataBytes(data), headers }
}

/** What headers say of data: plain JSON without a content type needs no kind. */
export function saidOf(
  kind: DataKind,
  given: string | undefined,
): { readonly contentType: string; readonly kind: string | undefined } {
  if (kind === 'json' && given === undefined) return { contentType: jsonType, kind: undefined }
  return {
    contentType: given ?? (kind === 'bytes' ? bytesType : jsonType),
    kind: given === undefined ? kind : `${kind}, typed`,
  }
}

type Header = Headers[number]

/** Most events have the value of the one before, and then its header. */
function lastOf(make: (value: string) => Header): (value: string) => Header {
  let last: string | undefined
  let header: Header = {}
  return (value) => {
    if (value !== last) {
      last = value
      header = make(value)
    }
    return header
  }
}

const sourceHeader = lastOf((source) => ({ ce_source: source }))
const typeHeader = lastOf((type) => ({ ce_type: type }))
const timeHeader = lastOf((time) => ({ ce_time: time }))

export type DataKind = 'json' | 'raw' | 'bytes'

export function kindOf(data: unknown): DataKind {
  if (data instanceof RawJson) return 'raw'
  return data instanceof Uint8Array ? 'bytes' : 'json'
}

const jsonText = (data: unknown) => (data instanceof JsonText ? data.text : JSON.stringify(data))

let lastTime = 0
let lastTimeText = ''

/** Most events have the time of the one before. */
export function timeText(time: number): string {
  if (time !== lastTime || lastTimeText === '') {
    lastTime = time
    lastTimeText = new Date(time).toISOString()
  }
  return lastTimeText
}

/** What stands bare in the value of a record: a text, or bytes that are still their owner's. */
export function bareData(data: unknown): string | Uint8Array {
  if (data instanceof Uint8Array) return data
  return data instanceof RawJson ? data.text : jsonText(data)
}

function dataBytes(data: unknown): Buffer {
  const bare = bareData(data)
  return typeof bare === 'string' ? Buffer.from(bare) : Buffer.from(bare)
}
