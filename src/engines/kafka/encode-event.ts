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
    key,
    value: Buffer.from(`{${members},"data":${jsonText(data)}}`),
    headers: structuredHeaders,
  }
}

function encodeBinary({ id, source, type, time, key, data, attributes }: EventRecord): EncodedEvent {
  const headers: Header[] = [
    versionHeader,
    { ce_id: id },
    sourceHeader(source),
    typeHeader(type),
    timeHeader(timeText(time)),
  ]
  addDataHeaders(headers, kindOf(data), attributes?.datacontenttype)
  if (attributes !== undefined) {
    for (const name of attributeNames) {
      const value = attributes[name]
      if (value !== undefined && name !== 'datacontenttype') headers.push({ [`ce_${name}`]: String(value) })
    }
  }
  return { key, value: dataBytes(data), headers }
}

function addDataHeaders(headers: Header[], kind: DataKind, given: string | undefined): void {
  if (kind === 'json' && given === undefined) {
    headers.push(jsonTypeHeader)
    return
  }
  headers.push({ 'content-type': given ?? (kind === 'bytes' ? bytesType : jsonType) })
  headers.push({ [kindHeader]: given === undefined ? kind : `${kind}, typed` })
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

type DataKind = 'json' | 'raw' | 'bytes'

function kindOf(data: unknown): DataKind {
  if (data instanceof RawJson) return 'raw'
  return data instanceof Uint8Array ? 'bytes' : 'json'
}

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
