import { createHash } from 'node:crypto'
import { type EventRecord, JsonText, RawJson } from './event.ts'

const fingerprintHexChars = 32

/**
 * 128 bits that stand for an event's content: type, source, key, subject, content type and data. Two publishes of
 * one id must agree on it (N2). The id, the times and the tracing attributes are not content: a retry may change
 * them. Data is compared as JSON values, so the order of object members does not matter.
 */
export function fingerprint(record: EventRecord): string {
  const hash = createHash('sha256')
  const { type, source, key, attributes } = record
  hash.update(
    JSON.stringify([type, source, key, attributes?.subject ?? null, attributes?.datacontenttype ?? null]),
  )
  if (record.data instanceof Uint8Array) hash.update('b').update(record.data)
  else hash.update('j').update(canonicalJson(jsonValue(record.data)))
  return hash.digest('hex').slice(0, fingerprintHexChars)
}

function jsonValue(data: unknown): unknown {
  if (data instanceof RawJson) return data.parse()
  if (data instanceof JsonText) return JSON.parse(data.text)
  return data
}

/** JSON text with object members sorted by name, as in RFC 8785 except for number formatting. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
