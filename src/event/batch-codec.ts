import { SemelError } from '../errors.ts'
import { attributeNames, type EventAttributes, type EventRecord, JsonText, RawJson } from './event.ts'

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

/** Encodes checked records. The data was checked to be plain JSON before, so nothing is lost here. */
export function encodeBatch(records: readonly EventRecord[]): EncodedBatch {
  const count = records.length
  const ids = new Array<string>(count)
  const keys = new Array<string | null>(count)
  const data = new Array<unknown>(count)
  const first = records[0]!
  let sameKey = true
  let sameType = true
  let sameSource = true
  let sameTime = true
  let special = false
  let texts = false
  for (let i = 0; i < count; i++) {
    const record = records[i]!
    ids[i] = record.id
    keys[i] = record.key
    const value = record.data
    data[i] = value
    if (record.key !== first.key) sameKey = false
    if (record.type !== first.type) sameType = false
    if (record.source !== first.source) sameSource = false
    if (record.time !== first.time) sameTime = false
    if (value instanceof JsonText) texts = true
    if (record.attributes !== undefined || value instanceof RawJson || value instanceof Uint8Array)
      special = true
  }
  const head: BatchHead = {
    v: 1,
    ids,
    keys: sameKey ? first.key : keys,
    types: sameType ? first.type : records.map((record) => record.type),
    sources: sameSource ? first.source : records.map((record) => record.source),
    times: sameTime ? first.time : records.map((record) => record.time),
    ...(special ? encodeSpecial(records, data) : undefined),
  }
  return { head: JSON.stringify(head), body: texts ? joinTexts(data) : JSON.stringify(data) }
}

function joinTexts(data: readonly unknown[]): string {
  return `[${data.map((value) => (value instanceof JsonText ? value.text : JSON.stringify(value))).join(',')}]`
}

function encodeSpecial(
  records: readonly EventRecord[],
  data: unknown[],
): Pick<BatchHead, 'attrs' | 'raw' | 'binary'> {
  const attrs: Record<string, Record<number, string | number>> = {}
  const raw: number[] = []
  const binary: number[] = []
  records.forEach((record, index) => {
    for (const name of attributeNames) {
      const value = record.attributes?.[name]
      if (value === undefined) continue
      attrs[name] ??= {}
      attrs[name][index] = value
    }
    if (record.data instanceof RawJson) {
      raw.push(index)
      data[index] = record.data.text
    } else if (record.data instanceof Uint8Array) {
      binary.push(index)
      data[index] = Buffer.from(record.data).toString('base64')
    }
  })
  return {
    ...(Object.keys(attrs).length > 0 ? { attrs } : undefined),
    ...(raw.length > 0 ? { raw } : undefined),
    ...(binary.length > 0 ? { binary } : undefined),
  }
}

/** The ids of a batch, without touching its data. */
export function decodeIds(head: string): readonly string[] {
  return parseHead(head).ids
}

/** Decodes what `encodeBatch` made. Damaged text is STORAGE_CORRUPT, never a shorter batch. */
export function decodeBatch(encoded: EncodedBatch): EventRecord[] {
  const head = parseHead(encoded.head)
  const data = parseBody(encoded.body)
  const count = head.ids.length
  if (data.length !== count) throw corrupt(`body holds ${data.length} events, head ${count}`)
  for (const index of head.raw ?? []) data[index] = new RawJson(String(data[index]))
  for (const index of head.binary ?? []) data[index] = Buffer.from(String(data[index]), 'base64')
  const { ids, keys, types, sources, times } = head
  const attributes = head.attrs === undefined ? undefined : attributesByIndex(head.attrs)
  const records = new Array<EventRecord>(count)
  for (let i = 0; i < count; i++) {
    records[i] = {
      id: ids[i]!,
      source: typeof sources === 'string' ? sources : sources[i]!,
      type: typeof types === 'string' ? types : types[i]!,
      time: typeof times === 'number' ? times : times[i]!,
      key: keys === null || typeof keys === 'string' ? keys : keys[i]!,
      data: data[i],
      attributes: attributes?.get(i),
    }
  }
  return records
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
