import assert from 'node:assert/strict'
import { type EventRecord, JsonText, RawJson } from '../../event/event.ts'
import { limits } from '../../limits.ts'
import { contentOf, record } from './records.ts'
import { type Case, check } from './suite.ts'

const jsonQuotes = 2

const events: Readonly<Record<string, readonly EventRecord[]>> = {
  'every attribute': [
    record('all', 1, {
      key: 'k',
      attributes: {
        subject: 'order 7',
        datacontenttype: 'application/json',
        dataschema: 'https://example.com/order.json',
        correlationid: 'c-1',
        causationid: 'c-0',
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        producersequence: 9_007_199_254_740_991,
      },
    }),
    record('some', 1, { attributes: { subject: '', producersequence: 0 } }),
    record('none', 1),
  ],
  'every kind of JSON value': [
    ...[null, true, false, 0, -1, 1.5, 5e-324, 1.7976931348623157e308, 2 ** 53 - 1, '', [], {}].entries(),
  ].map(([index, data]) => record(`json-${index}`, data)),
  'nested values': [record('deep', { a: [{ b: [[], {}, null, { c: 'd' }] }], '': { ' ': 0 } })],
  'members with dangerous names': [
    record('proto', JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":"x","1":"one"}')),
  ],
  'text of any kind': [
    'ascii',
    'ünïcödé',
    '漢字',
    '😀👩‍👩‍👧‍👦',
    '\u0001\u001f\u007f',
    '\u2028\u2029\ufeff',
    '"\\\n\r\t/',
    "'; drop table events; --",
  ].map((text, index) => record(`text-${index}`, { [text]: text }, { key: text, source: text, type: text })),
  'raw JSON, byte for byte': [
    record('raw-1', new RawJson('{ "a" : 1.0,\n\t"a": 12345678901234567890, "b": "\\u00e9" }')),
    record('raw-2', new RawJson('null')),
    record('raw-3', new RawJson('"ü"')),
  ],
  'NUL in data': [record('nul', { 'a\u0000b': '\u0000' })],
  bytes: [
    record(
      'bytes-1',
      Uint8Array.from({ length: 256 }, (_, index) => index),
    ),
    record('bytes-2', new Uint8Array()),
    record('bytes-3', Buffer.from('{"not":"json"')),
  ],
  'keys, the empty one included': [
    record('k1', 1, { key: null }),
    record('k2', 1, { key: '' }),
    record('k3', 1, { key: 'null' }),
    record('k4', 1, { key: '漢'.repeat(Math.floor(limits.keyBytesMax / 3)) }),
  ],
  'event times long ago and far ahead': [
    record('t1', 1, { time: 0 }),
    record('t2', 1, { time: 8_640_000_000_000_000 }),
  ],
  'the longest id': [record('i'.repeat(limits.idBytesMax))],
}

export const dataTests: readonly Case[] = [
  ...Object.entries(events).map(([name, list]) => {
    return check(`keeps ${name}, also over reopening`, async (bed) => {
      const one = await bed.instance()
      await one.declare()
      await one.publish(list)
      assert.deepEqual((await one.readAll()).map(contentOf), list.map(contentOf))
      const again = await bed.reopen(one)
      assert.deepEqual((await again.readAll('orders', 0, undefined, 1)).map(contentOf), list.map(contentOf))
    })
  }),

  check('keeps all of it mixed in one call, and emitted by a unit', async (bed) => {
    const one = await bed.instance()
    const mixed = Object.values(events).flat()
    await one.declare({}, { name: 'emitted' })
    await one.publish(mixed)
    assert.deepEqual((await one.readAll()).map(contentOf), mixed.map(contentOf))
    const lease = await one.lease()
    const batch = { topic: 'emitted', partition: 0, records: mixed, callOf: undefined, fresh: false }
    await one.commit(lease, undefined, 0, { appends: [batch] })
    assert.deepEqual((await one.readAll('emitted')).map(contentOf), mixed.map(contentOf))
  }),

  check('keeps data of the largest size', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const max = limits.eventDataBytesMax
    const large = [
      record('json', 'x'.repeat(max - jsonQuotes)),
      record('raw', new RawJson(`"${'y'.repeat(max - jsonQuotes)}"`)),
      record('bytes', new Uint8Array(max).fill(7)),
    ]
    for (const each of large) await one.publish([each])
    const read = await one.readAll()
    assert.deepEqual(
      read.map(({ id }) => id),
      ['json', 'raw', 'bytes'],
    )
    for (const [index, event] of read.entries()) {
      assert.ok(JSON.stringify(contentOf(event)) === JSON.stringify(contentOf(large[index]!)), event.id)
    }
  }),

  check('shares no object with its callers', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const data = { list: [1] }
    const bytes = Uint8Array.of(1, 2, 3)
    await one.publish([record('a', data), record('b', bytes)])
    data.list.push(2)
    bytes.fill(0)
    const [first, second] = await one.readAll()
    assert.deepEqual([first!.data, [...(second!.data as Uint8Array)]], [{ list: [1] }, [1, 2, 3]])
    const read = first!.data as { list: number[] }
    read.list.push(3)
    assert.deepEqual((await one.readAll())[0]!.data, { list: [1] })
  }),

  check('encodes records before append returns, so their owner may change them at once', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const data = { n: 1 }
    const list = [record('a', data), record('b', { n: 2 })]
    const publishing = one.publish(list)
    data.n = 3
    list.pop()
    await publishing
    assert.deepEqual(
      (await one.readAll()).map((event) => event.data),
      [{ n: 1 }, { n: 2 }],
    )
  }),

  check('values that are already JSON text read back as values', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const texts = ['{"a": [1, 2]}', 'null', '"x"', '{"__proto__": 1}']
    await one.publish([
      ...texts.map((text, index) => record(`text-${index}`, new JsonText(text))),
      record('plain', { b: 1 }),
      record('raw', new RawJson('{ }')),
    ])
    const read = await one.readAll()
    assert.deepEqual(
      read.slice(0, texts.length).map((event) => JSON.stringify(event.data)),
      texts.map((text) => JSON.stringify(JSON.parse(text))),
    )
    assert.deepEqual(read.slice(texts.length).map(contentOf), [
      contentOf(record('plain', { b: 1 })),
      contentOf(record('raw', new RawJson('{ }'))),
    ])
  }),
]
