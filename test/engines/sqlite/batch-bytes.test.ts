import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { entryEnds, idAt } from '../../../src/engines/sqlite/batch-bytes.ts'
import { idFormat, newestFormat } from '../../../src/engines/sqlite/id-format.ts'
import { idBytes } from '../../../src/engines/sqlite/id-hash.ts'
import { hashBytes, viewOf } from '../../../src/engines/sqlite/keyed-hash.ts'
import { LookedUpRow } from '../../../src/engines/sqlite/looked-up-row.ts'
import { idBytesOf, printText, samePrint } from '../../../src/engines/sqlite/prints.ts'
import { BatchBytes } from '../../../src/engines/sqlite/stored-row.ts'
import { encodeBatch } from '../../../src/event/batch-codec.ts'
import { type EventRecord, RawJson } from '../../../src/event/event.ts'
import { fingerprint } from '../../../src/event/fingerprint.ts'

const text = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.constantFrom('"],"keys":["', '\\"', '","', '],"types":', '\\\\', '{"attrs":{', 'a\u0000b', '😀'),
)
const data = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>('"],[', '}{', { a: [1, { b: '","' }] }, [[], [[]]], ''),
)
const records: fc.Arbitrary<readonly EventRecord[]> = fc.array(
  fc.record({
    id: text,
    source: fc.oneof({ weight: 9, arbitrary: fc.constant('/s') }, text),
    type: fc.oneof({ weight: 9, arbitrary: fc.constant('t') }, text),
    time: fc.nat(3),
    key: fc.oneof(fc.constant(null), text),
    data,
    attributes: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, fc.record({ subject: text })),
  }),
  { minLength: 1, maxLength: 12 },
)

const plain: EventRecord = {
  id: 'a',
  source: '/s',
  type: 't',
  time: 1,
  key: null,
  data: 'AQ==',
  attributes: undefined,
}

const key = { k0: 0x03020100, k1: 0x07060504 }
const format = idFormat(newestFormat, key)

function bytesOf(list: readonly EventRecord[]): BatchBytes {
  const { head, body } = encodeBatch(list)
  return new BatchBytes(Buffer.from(head), Buffer.from(body), list.length, format)
}

test('ids and data are found in the bytes where the codec put them', () => {
  fc.assert(
    fc.property(records, (list) => {
      const batch = bytesOf(list)
      const { hashes } = batch.ids
      const ends = entryEnds(batch.body, list.length)
      for (const [i, { id, data: value }] of list.entries()) {
        const bytes = idBytes(id)
        assert.deepEqual(Buffer.from(idAt(batch.head, i)), bytes)
        assert.deepEqual(batch.idAt(i), bytes)
        const entry = batch.body.subarray(i === 0 ? 1 : ends[i - 1]! + 1, ends[i])
        assert.equal(entry.toString(), JSON.stringify(value))
        const hash = { hi: 0, lo: 0 }
        hashBytes(viewOf(bytes), 0, bytes.length, key, hash)
        assert.deepEqual([hashes[2 * i], hashes[2 * i + 1]], [hash.hi, hash.lo])
      }
    }),
    { numRuns: 300 },
  )
})

test('a looked-up row knows which id is where, whether all are as long or not (N5)', () => {
  const alike = fc.array(
    fc.string({ unit: fc.constantFrom('a', ',', '"', '\\'), minLength: 2, maxLength: 2 }),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  let uniform = 0
  fc.assert(
    fc.property(fc.oneof(alike, fc.array(text, { minLength: 1, maxLength: 12 })), (ids) => {
      const { head, prints } = bytesOf(ids.map((id) => ({ ...plain, id })))
      if (idBytesOf(prints) > 0) uniform++
      const frame = { place: 1, count: ids.length, appendTime: 1, skips: null }
      const row = new LookedUpRow({ frame, head, prints }, () => assert.fail('the body is not needed'))
      for (const [i, id] of ids.entries()) {
        for (const other of ids) assert.equal(row.hasIdAt(i, idBytes(other)), id === other)
      }
    }),
    // One seed: how many had ids of one length must not depend on luck.
    { numRuns: 300, seed: 20_261_121 },
  )
  assert.ok(uniform > 20 && uniform < 250, `${uniform} of 300 had ids of one length`)
})

test('events of equal print have the same fingerprint, and a print does not depend on the batch (N2)', () => {
  let same = 0
  fc.assert(
    fc.property(records, records, (a, b) => {
      const [one, two] = [bytesOf([...a, ...b]), bytesOf([...b, ...a])]
      for (const [i, mine] of [...a, ...b].entries()) {
        const alone = bytesOf([mine])
        assert.ok(samePrint(one.prints, i, alone.prints, 0))
        assert.equal(printText(one.prints, i), printText(alone.prints, 0))
        for (const [j, theirs] of [...b, ...a].entries()) {
          const isSame = samePrint(one.prints, i, two.prints, j)
          if (isSame) same++
          // Written alike, the two are known to be the same; written otherwise, they must be compared.
          if (contentText(mine) === contentText(theirs)) assert.ok(isSame)
          if (isSame) assert.equal(fingerprint(mine), fingerprint(theirs))
        }
      }
    }),
    { numRuns: 200 },
  )
  assert.ok(same > 100, `${same} were compared`)
})

function contentText({ type, source, key: eventKey, data: value, attributes }: EventRecord): string {
  return JSON.stringify([type, source, eventKey, value, attributes?.subject ?? null])
}

test('every part of the content is in the print', () => {
  const others: readonly Partial<EventRecord>[] = [
    { type: 't2' },
    { source: '/s2' },
    { key: 'k' },
    { key: 'null' },
    { data: 'AQ=' },
    { attributes: { subject: 's' } },
    { attributes: { datacontenttype: 's' } },
  ]
  const prints = [plain, ...others.map((other) => ({ ...plain, ...other }))].map((event) => {
    return printText(bytesOf([event]).prints, 0)
  })
  assert.equal(new Set(prints).size, prints.length)
  const noContent = { id: 'b', time: 2, attributes: { correlationid: 'c' } }
  assert.equal(printText(bytesOf([{ ...plain, ...noContent }]).prints, 0), prints[0])
})

test('raw text and bytes are never taken for the plain value that is written alike', () => {
  const raw = { ...plain, data: new RawJson('AQ==') }
  const binary = { ...plain, data: Buffer.from([1]) }
  for (const other of [raw, binary]) {
    assert.ok(!samePrint(bytesOf([plain]).prints, 0, bytesOf([other]).prints, 0))
  }
})

test('the hash is HalfSipHash-1-3: it is the file format, so it never changes', () => {
  // Made with the reference implementation (github.com/veorq/SipHash) for the input 0, 1, 2 … of each length.
  const vectors = [
    [0, 0x21d0a576, 0x2af72023],
    [1, 0x8d74e887, 0x9733d36f],
    [3, 0xa339523e, 0x3e6cde6b],
    [4, 0xa0db24eb, 0x05ae8c71],
    [7, 0x0a2d053c, 0x8ff14cb2],
    [36, 0x535590ec, 0xa41e3da4],
    [299, 0x7c496378, 0x984ad8ad],
  ] as const
  for (const [length, hi, lo] of vectors) {
    const hash = { hi: 0, lo: 0 }
    hashBytes(viewOf(Uint8Array.from({ length }, (_, i) => i & 255)), 0, length, key, hash)
    assert.deepEqual(hash, { hi, lo }, `${length} bytes`)
  }
})

test('hashes of ids are spread evenly in both halves', () => {
  const count = 20_000
  for (const idOf of [
    (i: number) => `order-${i}`,
    (i: number) => `0190a1b2-c3d4-7e5f-8a9b-${i}`,
    (i: number) => `${i}`,
  ]) {
    const seen = new Set<string>()
    const buckets = { hi: new Uint32Array(64), lo: new Uint32Array(64) }
    for (let i = 0; i < count; i++) {
      const hash = { hi: 0, lo: 0 }
      const bytes = idBytes(idOf(i))
      hashBytes(viewOf(bytes), 0, bytes.length, key, hash)
      seen.add(`${hash.hi}/${hash.lo}`)
      buckets.hi[hash.hi >>> 26]!++
      buckets.lo[hash.lo >>> 26]!++
    }
    assert.equal(seen.size, count)
    for (const half of [buckets.hi, buckets.lo]) {
      assert.ok(
        Math.max(...half) < 430 && Math.min(...half) > 210,
        `${Math.min(...half)} to ${Math.max(...half)}`,
      )
    }
  }
})
