import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeBatch, encodeBatch } from '../../src/event/batch-codec.ts'
import { type EventRecord, JsonText, RawJson } from '../../src/event/event.ts'
import { canonicalJson, fingerprint } from '../../src/event/fingerprint.ts'

const base: EventRecord = {
  id: 'a',
  source: '/s',
  type: 't',
  time: 1,
  key: 'k',
  data: { x: 1 },
  attributes: undefined,
}

function of(change: Partial<EventRecord>): string {
  return fingerprint({ ...base, ...change })
}

describe('fingerprint', () => {
  test('is 128 bits in hex', () => {
    assert.match(fingerprint(base), /^[0-9a-f]{32}$/)
  })

  test('content changes it, each part in its own way (N2)', () => {
    const others: readonly Partial<EventRecord>[] = [
      {},
      { type: 'u' },
      { source: '/t' },
      { key: null },
      { key: '' },
      { key: 'null' },
      { attributes: { subject: 's' } },
      { attributes: { datacontenttype: 's' } },
      { data: { x: 2 } },
      { data: { x: '1' } },
      { data: { y: 1 } },
      { data: [{ x: 1 }] },
      { data: null },
      { data: '{"x":1}' },
      { data: Buffer.from('{"x":1}') },
      { type: '/s', source: 't' },
    ]
    assert.equal(new Set(others.map(of)).size, others.length)
  })

  test('what a retry may change does not', () => {
    const same: readonly Partial<EventRecord>[] = [
      { id: 'b' },
      { time: 2 },
      { attributes: {} },
      { attributes: { traceparent: 'x', correlationid: 'y', causationid: 'z', producersequence: 4 } },
      { data: new RawJson('{ "x" : 1.0 }') },
      { data: new JsonText('{"x":1}') },
    ]
    for (const change of same) assert.equal(of(change), fingerprint(base))
  })

  test('the order of members does not matter, that of elements does', () => {
    assert.equal(of({ data: { a: { b: 1, c: 2 }, d: 3 } }), of({ data: { d: 3, a: { c: 2, b: 1 } } }))
    assert.notEqual(of({ data: [1, 2] }), of({ data: [2, 1] }))
  })

  test('storing and reading an event does not change it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const data: unknown = JSON.parse(JSON.stringify(value))
        const [read] = decodeBatch(encodeBatch([{ ...base, data }]))
        assert.equal(fingerprint(read!), of({ data }))
      }),
    )
  })

  test('canonical JSON is JSON of the same value, equal for equal values', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const data: unknown = JSON.parse(JSON.stringify(value))
        const text = canonicalJson(data)
        assert.deepEqual(JSON.parse(text), data)
        assert.equal(canonicalJson(JSON.parse(text)), text)
      }),
    )
  })

  test('members named __proto__ count', () => {
    const [one, two] = ['{"__proto__":1}', '{"__proto__":2}'].map((text): unknown => JSON.parse(text))
    assert.notEqual(of({ data: one }), of({ data: two }))
    assert.notEqual(of({ data: one }), of({ data: {} }))
  })
})
