import assert from 'node:assert/strict'
import type { AppendBatch } from '../../engine/engine.ts'
import { type ErrorCode, isSemelError, type SemelError } from '../../errors.ts'
import { attributeNames, type EventRecord, RawJson } from '../../event/event.ts'

const eventTime = 1_700_000_000_000

export function record(id: string, data: unknown = { id }, rest: Partial<EventRecord> = {}): EventRecord {
  return {
    id,
    source: '/conformance',
    type: 'test.event',
    time: eventTime,
    key: null,
    data,
    attributes: undefined,
    ...rest,
  }
}

/** Records with the ids `prefix0`, `prefix1`, … */
export function records(count: number, prefix = 'e'): readonly EventRecord[] {
  return Array.from({ length: count }, (_, index) => record(`${prefix}${index}`))
}

export function batchOf(
  recordList: readonly EventRecord[],
  { topic = 'orders', partition = 0, fresh = false } = {},
): AppendBatch {
  return { topic, partition, records: recordList, callOf: undefined, fresh }
}

/** What a record says, in a form that `deepEqual` compares by content. */
export function contentOf(event: EventRecord): unknown {
  const { id, source, type, time, key, data } = event
  const attributes = attributeNames.flatMap((name) => {
    const value = event.attributes?.[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { id, source, type, time, key, data: plain(data), attributes }
}

function plain(data: unknown): unknown {
  if (data instanceof RawJson) return { raw: data.text }
  if (data instanceof Uint8Array) return { bytes: Buffer.from(data).toString('hex') }
  return { json: JSON.stringify(data) }
}

/** The error must be Semel's own, with this code, and say that nothing happened. */
export async function refuses(code: ErrorCode, work: () => Promise<unknown>): Promise<SemelError> {
  const error = await work().then(
    () => assert.fail(`no ${code}`),
    (cause: unknown) => cause,
  )
  return isRefusal(error, code)
}

export function isRefusal(error: unknown, code: ErrorCode): SemelError {
  if (!isSemelError(error)) throw error
  assert.equal(error.code, code, error.message)
  assert.equal(error.outcome, 'not-applied')
  return error
}
