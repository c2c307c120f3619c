import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EventRecord } from '../../../src/event/event.ts'
import { batch, newFile, record, WriterRig } from './rig.ts'

const events = ['a', 'b', 'c'].map((id) => record(id, { first: 1, second: id }))

/** A file in which the events are, and after them something happened to their row. */
function rigAfter(sql: string, fresh = false): WriterRig {
  const rig = new WriterRig(newFile())
  rig.declare('orders', 1, 60_000)
  rig.append([{ ...batch(events), fresh }])
  const { changes } = rig.database.prepare(sql).run()
  assert.equal(changes, 1)
  return rig
}

function republish(rig: WriterRig, list: readonly EventRecord[]): unknown {
  try {
    return rig.append([batch(list)]).batches[0]!.exceptions
  } finally {
    rig.close()
  }
}

const known = Float64Array.of(0, 0, 1, 1, 2, 2)
const untouched = 'update semel_batch set crc = crc'
const otherBody = `update semel_batch set body = replace(body, '"first":1', '"first":2')`

describe('a repeated event is compared with its row (N1, N2)', () => {
  for (const [what, sql] of [
    ['prints', 'update semel_batch set prints = zeroblob(length(prints))'],
    ['prints cut short', 'update semel_batch set prints = substr(prints, 1, 12)'],
    ['id', `update semel_batch set head = replace(head, '"b"', '"x"')`],
    ['append time', 'update semel_batch set append_time = append_time - 1'],
    ['checksum', 'update semel_batch set prints_crc = prints_crc + 1'],
  ] as const) {
    test(`a damaged row is found before anything is concluded from it (F3): ${what}`, () => {
      assert.throws(() => republish(rigAfter(sql), events), { code: 'STORAGE_CORRUPT' })
    })
  }

  test('the same content is known by its print: the body is not read', () => {
    assert.deepEqual(republish(rigAfter(otherBody), events), known)
  })

  test('where the prints differ the body is read, and its damage found', () => {
    const other = [record('a', { first: 3 })]
    assert.throws(() => republish(rigAfter(otherBody), other), { code: 'STORAGE_CORRUPT' })
  })

  test('the same content in another order of members is the same', () => {
    const retried = events.map(({ id }) => record(id, { second: id, first: 1 }))
    assert.deepEqual(republish(rigAfter(untouched), retried), known)
  })

  test('a row without prints is read whole, and its damage found', () => {
    assert.deepEqual(republish(rigAfter(untouched, true), events), known)
    assert.throws(() => republish(rigAfter(otherBody, true), events), { code: 'STORAGE_CORRUPT' })
  })
})
