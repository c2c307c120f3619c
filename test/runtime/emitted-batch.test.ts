import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeBatch } from '../../src/event/batch-codec.ts'
import { JsonText } from '../../src/event/event.ts'
import { EmittedBatch } from '../../src/runtime/emitted-batch.ts'
import type { Emitted } from '../../src/runtime/event-transaction.ts'

function emitted(n: number, { bytes = 1, fresh = true } = {}): Emitted {
  const id = `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`
  const data = new JsonText(String(n))
  const record = { id, source: '/test', type: 'test', time: n, key: null, data, attributes: undefined }
  return { topic: 'out', partition: 0, record, bytes, fresh }
}

/** Data of its rows, and of the records behind them. */
function dataOf({ rows = [], records }: EmittedBatch): unknown[] {
  return [...rows.map((row) => decodeBatch(row).map(({ data }) => data)), records.map(({ time }) => time)]
}

test('emitted events become a row when there are enough for one, in their order', () => {
  const batch = new EmittedBatch('out', 0, { events: 3, chars: 1_000 })
  for (let n = 0; n < 7; n++) batch.add(emitted(n))
  assert.deepEqual(dataOf(batch), [[0, 1, 2], [3, 4, 5], [6]])
  assert.deepEqual(
    batch.rows?.map(({ count }) => count),
    [3, 3],
  )
})

test('a row ends before the event that would make it too long', () => {
  const batch = new EmittedBatch('out', 0, { events: 100, chars: 10 })
  for (const [n, bytes] of [4, 6, 1, 50, 2].entries()) batch.add(emitted(n, { bytes }))
  assert.deepEqual(dataOf(batch), [[0, 1], [2], [3], [4]])
})

test('from the first id that is not ours on, events stay records: the engine has other rows for them', () => {
  const batch = new EmittedBatch('out', 0, { events: 2, chars: 1_000 })
  for (let n = 0; n < 8; n++) batch.add(emitted(n, { fresh: n !== 3 }))
  assert.deepEqual(dataOf(batch), [
    [0, 1],
    [2, 3, 4, 5, 6, 7],
  ])
  assert.equal(batch.fresh, false)
})

test('where the engine takes records, they stay records', () => {
  const batch = new EmittedBatch('out', 0, undefined)
  for (let n = 0; n < 1_000; n++) batch.add(emitted(n))
  assert.equal(batch.rows, undefined)
  assert.equal(batch.records.length, 1_000)
})
