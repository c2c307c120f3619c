import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { entryAt, idAt, keyAt, layoutOf } from '../../../src/engines/sqlite/batch-bytes.ts'
import { hashBytes, hashHeadIds, idBytes } from '../../../src/engines/sqlite/id-hash.ts'
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

function bytesOf(list: readonly EventRecord[]): BatchBytes {
  const { head, body } = encodeBatch(list)
  return new BatchBytes(Buffer.from(head), Buffer.from(body), list.length)
}

test('ids, keys and data are found in the bytes where the codec put them', () => {
  fc.assert(
    fc.property(records, (list) => {
      const batch = bytesOf(list)
      const layout = layoutOf(batch.head)
      const hashes = hashHeadIds(batch.head, list.length, 7)
      for (const [i, { id, key, data: value }] of list.entries()) {
        assert.equal(Buffer.from(idAt(batch.head, i)).toString(), JSON.stringify(id).slice(1, -1))
        assert.equal(Buffer.from(keyAt(batch.head, layout, i)).toString(), JSON.stringify(key))
        assert.equal(Buffer.from(entryAt(batch.body, batch.ends, i)).toString(), JSON.stringify(value))
        const hash = { hi: 0, lo: 0 }
        hashBytes(idBytes(id), 0, idBytes(id).length, 7, hash)
        assert.deepEqual([hashes[2 * i], hashes[2 * i + 1]], [hash.hi, hash.lo])
      }
    }),
    { numRuns: 300 },
  )
})

test('events that surely are the same have the same fingerprint (N2)', () => {
  let same = 0
  fc.assert(
    fc.property(records, records, (a, b) => {
      const [one, two] = [bytesOf([...a, ...b]), bytesOf([...b, ...a])]
      for (const [i, mine] of [...a, ...b].entries()) {
        for (const [j, theirs] of [...b, ...a].entries()) {
          if (!one.isSurelySame(i, two, j)) continue
          same++
          assert.equal(fingerprint(mine), fingerprint(theirs))
        }
      }
    }),
    { numRuns: 200 },
  )
  assert.ok(same > 100, `${same} were compared`)
})

test('raw text and bytes are never taken for the plain value that is written alike', () => {
  const plain: EventRecord = {
    id: 'a',
    source: '/s',
    type: 't',
    time: 1,
    key: null,
    data: 'AQ==',
    attributes: undefined,
  }
  const raw = { ...plain, data: new RawJson('AQ==') }
  const binary = { ...plain, data: Buffer.from([1]) }
  for (const other of [raw, binary]) {
    assert.ok(!bytesOf([plain]).isSurelySame(0, bytesOf([other]), 0))
    assert.ok(!bytesOf([other]).isSurelySame(0, bytesOf([plain]), 0))
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
      hashBytes(bytes, 0, bytes.length, 12345, hash)
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
