import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { decodeBatch, decodeIds, encodeBatch } from '../../src/event/batch-codec.ts'
import { type EventRecord, JsonText, RawJson } from '../../src/event/event.ts'

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed())
const json = fc.jsonValue({ maxDepth: 4 }).map((value): unknown => JSON.parse(JSON.stringify(value)))
const raw = json.map((value) => new RawJson(` ${JSON.stringify(value, undefined, 1)}\n`))
const bytes = fc.uint8Array({ maxLength: 50 })

const attributes = fc.option(
  fc.record(
    {
      subject: text,
      datacontenttype: text,
      dataschema: text,
      correlationid: text,
      causationid: text,
      traceparent: text,
      producersequence: fc.maxSafeNat(),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined },
)

const record: fc.Arbitrary<EventRecord> = fc.record({
  id: text,
  source: fc.oneof(fc.constant('/same'), text),
  type: fc.oneof(fc.constant('same'), text),
  time: fc.oneof(fc.constant(1), fc.maxSafeNat()),
  key: fc.oneof(fc.constant(null), fc.constant('same'), text),
  data: fc.oneof(json, raw, bytes),
  attributes,
})

function plain({ data, attributes: given, ...rest }: EventRecord): unknown {
  const content = data instanceof Uint8Array ? [...data] : data
  const kind = data instanceof Uint8Array ? 'bytes' : data instanceof RawJson ? 'raw' : 'json'
  const present = Object.entries(given ?? {}).filter(([, value]) => value !== undefined)
  return { ...rest, kind, content, attributes: present.sort(([a], [b]) => (a < b ? -1 : 1)) }
}

function roundTrip(records: readonly EventRecord[]): readonly EventRecord[] {
  return decodeBatch(encodeBatch(records))
}

describe('batch codec', () => {
  test('whatever goes in comes out', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
        assert.deepEqual(roundTrip(records).map(plain), records.map(plain))
        assert.deepEqual(
          decodeIds(encodeBatch(records).head),
          records.map(({ id }) => id),
        )
      }),
    )
  })

  test('data that is already JSON text comes out as its value, beside any other data', () => {
    const mixed = fc.array(fc.tuple(record, fc.boolean(), json), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(mixed, (list) => {
        const records = list.map(([each, isText, value]): EventRecord => {
          return isText ? { ...each, data: new JsonText(JSON.stringify(value, undefined, 2)) } : each
        })
        const expected = list.map(([each, isText, value]) => (isText ? { ...each, data: value } : each))
        assert.deepEqual(roundTrip(records).map(plain), expected.map(plain))
      }),
    )
  })

  test('members named __proto__ stay members', () => {
    const data: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":2}')
    const [read] = roundTrip([
      { id: 'a', source: 's', type: 't', time: 0, key: null, data, attributes: undefined },
    ])
    assert.equal(JSON.stringify(read!.data), JSON.stringify(data))
    assert.equal(Object.getPrototypeOf(read!.data), Object.prototype)
  })

  test('both texts are JSON that other programs can read', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), (records) => {
        const { head, body } = encodeBatch(records)
        assert.equal(JSON.parse(body).length, records.length)
        assert.equal(JSON.parse(head).v, 1)
      }),
    )
  })

  test('damaged text is STORAGE_CORRUPT, never a shorter batch', () => {
    const good = encodeBatch(
      ['a', 'b'].map((id) => ({
        id,
        source: 's',
        type: 't',
        time: 0,
        key: null,
        data: 1,
        attributes: undefined,
      })),
    )
    for (const damaged of [
      { ...good, body: '[1]' },
      { ...good, body: '[1,1,1]' },
      { ...good, body: '{"0":1,"length":2}' },
      { ...good, body: 'null' },
      { ...good, body: good.body.slice(0, -1) },
      { ...good, head: good.head.slice(1) },
      { ...good, head: 'null' },
      { ...good, head: good.head.replace('"v":1', '"v":2') },
    ]) {
      assert.throws(() => decodeBatch(damaged), { code: 'STORAGE_CORRUPT' }, JSON.stringify(damaged))
    }
  })
})
