import { SemelError } from '../errors.ts'
import {
  attributeNames,
  type EventAttributes,
  type EventRecord,
  JsonText,
  RawJson,
  type StoredEvent,
} from './event.ts'

/**
 * A batch of events as two JSON texts, the form in which row engines store it.
 *
 * `body` is one array of the events' data: one call of `JSON.stringify` for many events is twice as fast as one
 * call each. `head` holds the envelope by column, with a single value where all events agree. Anyone with a SQL
 * shell can read both with the database's JSON functions.
 */
export interface EncodedBatch {
  readonly head: string
  readonly body: string
}

interface BatchHead {
  /** Format version of this head. */
  readonly v: 1
  readonly ids: readonly string[]
  readonly keys: readonly (string | null)[] | string | null
  readonly types: readonly string[] | string
  readonly sources: readonly string[] | string
  readonly times: readonly number[] | number
  /** Optional attributes by name: values by event index. */
  readonly attrs?: Readonly<Record<string, Readonly<Record<number, string | number>>>>
  /** Indexes of events whose body entry is a string that holds verbatim JSON text. */
  readonly raw?: readonly number[]
  /** Indexes of events whose body entry is base64 of bytes. */
  readonly binary?: readonly number[]
}

/**
 * Encodes checked records. The data was checked to be plain JSON before, so nothing is lost here.
 * `fresh`: all ids are our own UUIDs, in which nothing needs an escape.
 */
export function encodeBatch(records: readonly EventRecord[], fresh = false): EncodedBatch {
  const plain = records.every(({ data }) => !(data instanceof JsonText || isSpecial(data)))
  const head = encodeHead(records, fresh)
  if (plain) return { head, body: JSON.stringify(records.map(({ data }) => data)) }
  return { head, body: joinBody(records.map(({ data }) => storedText(data))) }
}

function encodeHead(records: readonly EventRecord[], fresh: boolean): string {
  const count = records.length
  const ids = new Array<string>(count)
  const keys = new Array<string | null>(count)
  const first = records[0]!
  let sameKey = true
  let sameType = true
  let sameSource = true
  let sameTime = true
  let special = false
  for (let i = 0; i < count; i++) {
    const record = records[i]!
    ids[i] = record.id
    keys[i] = record.key
    if (record.key !== first.key) sameKey = false
    if (record.type !== first.type) sameType = false
    if (record.source !== first.source) sameSource = false
    if (record.time !== first.time) sameTime = false
    if (record.attributes !== undefined || isSpecial(record.data)) special = true
  }
  const rest = {
    types: sameType ? first.type : records.map((record) => record.type),
    sources: sameSource ? first.source : records.map((record) => record.source),
    times: sameTime ? first.time : records.map((record) => record.time),
    ...(special ? encodeSpecial(records) : undefined),
  }
  const keysText = sameKey ? JSON.stringify(first.key) : stringsToJson(keys)
  const idsText = fresh ? quoted(ids) : stringsToJson(ids)
  return `{"v":1,"ids":${idsText},"keys":${keysText},${JSON.stringify(rest).slice(1)}`
}

const needsEscape = /["\\]|[^ -~]/

/** What `JSON.stringify` gives, three times as fast for many short texts of plain ASCII: ids and keys mostly are. */
function stringsToJson(strings: readonly (string | null)[]): string {
  if (strings.includes(null) || needsEscape.test(strings.join(','))) return JSON.stringify(strings)
  return quoted(strings)
}

function quoted(strings: readonly (string | null)[]): string {
  return `["${strings.join('","')}"]`
}

function isSpecial(data: unknown): boolean {
  return data instanceof RawJson || data instanceof Uint8Array
}

/** The JSON text that stands for an event's data in the body. */
function storedText(data: unknown): string {
  if (data instanceof JsonText) return data.text
  if (data instanceof RawJson) return JSON.stringify(data.text)
  if (data instanceof Uint8Array) return JSON.stringify(Buffer.from(data).toString('base64'))
  return JSON.stringify(data)
}

function joinBody(texts: readonly string[]): string {
  return `[${texts.join(',')}]`
}

function encodeSpecial(records: readonly EventRecord[]): Pick<BatchHead, 'attrs' | 'raw' | 'binary'> {
  const attrs: Record<string, Record<number, string | number>> = {}
  const raw: number[] = []
  const binary: number[] = []
  for (const [index, { data, attributes }] of records.entries()) {
    for (const name of attributeNames) {
      const value = attributes?.[name]
      if (value === undefined) continue
      attrs[name] ??= {}
      attrs[name][index] = value
    }
    if (data instanceof RawJson) raw.push(index)
    else if (data instanceof Uint8Array) binary.push(index)
  }
  return {
    ...(Object.keys(attrs).length > 0 ? { attrs } : undefined),
    ...(raw.length > 0 ? { raw } : undefined),
    ...(binary.length > 0 ? { binary } : undefined),
  }
}

/** The heads of a batch's events, decoded without their data. */
export class BatchEnvelopes {
  readonly #head: BatchHead
  readonly #raw: ReadonlySet<number>
  readonly #binary: ReadonlySet<number>

  constructor(head: BatchHead) {
    this.#head = head
    this.#raw = new Set(head.raw)
    this.#binary = new Set(head.binary)
  }

  /**
   * All that counts as one event's content beside its data (`event/fingerprint.ts`), as texts to compare. Of an event
   * with nothing special, `kind` is what the head of a batch of its like has between keys and times.
   */
  contentAt(index: number): { readonly kind: string; readonly key: string } {
    const { types, sources, keys, attrs } = this.#head
    const form = this.#raw.has(index) ? 'raw' : this.#binary.has(index) ? 'binary' : 'json'
    const [subject, contentType] = [attrs?.subject?.[index], attrs?.datacontenttype?.[index]]
    const isSpecial = form !== 'json' || subject !== undefined || contentType !== undefined
    const special = isSpecial ? JSON.stringify([form, subject ?? null, contentType ?? null]) : ''
    const common = JSON.stringify({
      types: typeof types === 'string' ? types : types[index],
      sources: typeof sources === 'string' ? sources : sources[index],
    })
    return {
      kind: `${special},${common.slice(1, -1)}`,
      key: JSON.stringify(keys === null || typeof keys === 'string' ? keys : keys[index]),
    }
  }
}

export function decodeEnvelopes(head: string): BatchEnvelopes {
  return new BatchEnvelopes(parseHead(head))
}

/** The ids of a batch, without touching its data. */
export function decodeIds(head: string): readonly string[] {
  return parseHead(head).ids
}

/** Decodes what `encodeBatch` made. Damaged text is STORAGE_CORRUPT, never a shorter batch. */
export function decodeBatch(encoded: EncodedBatch): EventRecord[] {
  return decodeStored(encoded, 0, 0).map(({ id, source, type, time, key, data, attributes }) => {
    return { id, source, type, time, key, data, attributes }
  })
}

/** Decodes a batch that was stored at `firstOffset`, straight to events with their places. */
export function decodeStored(encoded: EncodedBatch, firstOffset: number, appendTime: number): StoredEvent[] {
  const head = parseHead(encoded.head)
  const data = parseBody(encoded.body)
  const count = head.ids.length
  if (data.length !== count) throw corrupt(`body holds ${data.length} events, head ${count}`)
  for (const index of head.raw ?? []) data[index] = new RawJson(String(data[index]))
  for (const index of head.binary ?? []) data[index] = Buffer.from(String(data[index]), 'base64')
  const { ids, keys, types, sources, times } = head
  const attributes = head.attrs === undefined ? undefined : attributesByIndex(head.attrs)
  const events = new Array<StoredEvent>(count)
  for (let i = 0; i < count; i++) {
    events[i] = {
      id: ids[i]!,
      source: typeof sources === 'string' ? sources : sources[i]!,
      type: typeof types === 'string' ? types : types[i]!,
      time: typeof times === 'number' ? times : times[i]!,
      key: keys === null || typeof keys === 'string' ? keys : keys[i]!,
      data: data[i],
      attributes: attributes?.get(i),
      offset: firstOffset + i,
      appendTime,
    }
  }
  return events
}

function attributesByIndex(attrs: NonNullable<BatchHead['attrs']>): Map<number, EventAttributes> {
  const byIndex = new Map<number, Record<string, string | number>>()
  for (const name of attributeNames) {
    for (const [index, value] of Object.entries(attrs[name] ?? {})) {
      const attributes = byIndex.get(Number(index)) ?? {}
      attributes[name] = value
      byIndex.set(Number(index), attributes)
    }
  }
  return byIndex
}

function parseHead(text: string): BatchHead {
  const head: BatchHead = parseJson(text)
  if (head?.v !== 1) throw corrupt('unknown batch head version')
  return head
}

function parseBody(text: string): unknown[] {
  const body: unknown[] = parseJson(text)
  if (!Array.isArray(body)) throw corrupt('batch body is not an array')
  return body
}

// The one place where stored text gets its type back: both texts were made by encodeBatch and carry a checksum.
function parseJson<T>(text: string): T {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw corrupt('batch is not JSON', cause)
  }
}

function corrupt(what: string, cause?: unknown): SemelError {
  return new SemelError('STORAGE_CORRUPT', `stored batch is damaged: ${what}`, { cause })
}
