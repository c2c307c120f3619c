import { isSemelError, SemelError } from '../errors.ts'
import { checkData } from '../event/check-data.ts'
import { type EventRecord, JsonText, RawJson } from '../event/event.ts'
import { makeRecord } from '../event/make-record.ts'
import { snapshotData } from '../runtime/prepare-call.ts'

/** A row of the outbox, as it is stored. */
export interface OutboxRow {
  readonly topic: string
  readonly key: string | null
  readonly id: string
  readonly type: string
  readonly source: string
  readonly time: number
  /** Optional attributes, as a JSON object. */
  readonly attributes: string | null
  readonly encoding: string
  readonly data: string
}

/** An event as the one JSON text that the outbox's statement takes. */
export function encodeOutboxEvent(topic: string, record: EventRecord): string {
  const { id, type, source, time, key, attributes, data } = record
  return JSON.stringify({ topic, key, id, type, source, time, attributes, ...encodeData(data) })
}

export function encodeData(data: unknown): { readonly encoding: string; readonly data: string } {
  const kept = snapshotData(data)
  if (kept instanceof Uint8Array) return { encoding: 'base64', data: Buffer.from(kept).toString('base64') }
  return { encoding: kept instanceof RawJson ? 'raw' : 'json', data: kept.text }
}

/**
 * The event of a row, checked again: any program may write to an outbox by SQL. A SemelError says what the log could
 * not take.
 */
function recordOfRow(row: OutboxRow): EventRecord {
  const { id, key, type, source, time } = row
  const given = { ...parseAttributes(row.attributes), id, key, type, source, time }
  return makeRecord(decodeData(row), given, { type, source }, null, time, noIds)
}

const noIds = {
  next: (): string => {
    throw new SemelError('INVALID_ID', 'an event of an outbox has an id', { field: 'id' })
  },
}

function parseAttributes(text: string | null): object {
  if (text === null) return {}
  const value = parsed(text, 'INVALID_ATTRIBUTE', 'attributes')
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new SemelError('INVALID_ATTRIBUTE', 'attributes must be a JSON object', { field: 'attributes' })
}

function decodeData({ encoding, data }: OutboxRow): unknown {
  if (encoding === 'base64') {
    const bytes = new Uint8Array(Buffer.from(data, 'base64'))
    checkData(bytes)
    return bytes
  }
  checkData(new RawJson(data))
  return encoding === 'raw' ? new RawJson(data) : new JsonText(data)
}

function parsed(text: string, code: 'INVALID_ATTRIBUTE', field: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SemelError(code, `${field} cannot be parsed`, { field, cause })
  }
}

export interface GoodRow<Row extends OutboxRow> {
  readonly topic: string
  readonly row: Row
  readonly record: EventRecord
}

export interface RefusedRow<Row extends OutboxRow> {
  readonly row: Row
  readonly reason: string
}

/** Rows as events, and those that are none, with the reason. */
export function decodeRows<Row extends OutboxRow>(
  rows: readonly Row[],
): { readonly good: readonly GoodRow<Row>[]; readonly refused: readonly RefusedRow<Row>[] } {
  const good: GoodRow<Row>[] = []
  const refused: RefusedRow<Row>[] = []
  for (const row of rows) {
    try {
      good.push({ topic: row.topic, row, record: recordOfRow(row) })
    } catch (error) {
      if (!isSemelError(error)) throw error
      refused.push({ row, reason: reasonOf(error) })
    }
  }
  return { good, refused }
}

/** For whoever has to decide about a refused event. */
export function reasonOf(error: unknown): string {
  return isSemelError(error) ? `${error.code}: ${error.message}` : String(error)
}
