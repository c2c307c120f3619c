import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { HotIds } from '../../../src/engines/sqlite/hot-ids.ts'
import { chunkOf, chunksFor } from '../../../src/engines/sqlite/id-chunk.ts'
import { Sighting } from '../../../src/engines/sqlite/id-entry.ts'
import { IdFilter } from '../../../src/engines/sqlite/id-filter.ts'
import { HotSource } from '../../../src/engines/sqlite/id-sources.ts'
import { noMark } from '../../../src/engines/sqlite/marks.ts'

type Entry = readonly [hi: number, lo: number]

/** Hashes in thick clusters, also at both ends, so that entries stand far from their slots. */
const clustered: fc.Arbitrary<readonly Entry[]> = fc
  .array(
    fc.record({
      around: fc.oneof(fc.constant(0), fc.constant(2 ** 32 - 1), fc.nat({ max: 2 ** 32 - 1 })),
      size: fc.integer({ min: 1, max: 90 }),
    }),
    { minLength: 1, maxLength: 20, size: 'max' },
  )
  .map((clusters) =>
    clusters.flatMap(({ around, size }) =>
      Array.from({ length: size }, (_, i): Entry => {
        const hi = Math.min(2 ** 32 - 1, around + ((i * 7_919_777) % 2 ** 23))
        return [hi, (i * 2_654_435_761) >>> 0]
      }),
    ),
  )

/** No other entry's. */
function markOf(index: number): Uint32Array {
  return Uint32Array.of(1, index, 2, ~index)
}

function filled(entries: readonly Entry[]): HotIds {
  const ids = new HotIds()
  for (const [index, [hi, lo]] of entries.entries()) ids.add(hi, lo, index + 1, markOf(index), 0)
  return ids
}

describe('hot ids', () => {
  test('finds exactly the places of a hash', () => {
    fc.assert(
      fc.property(clustered, (entries) => {
        const ids = filled(entries)
        assert.equal(ids.size, entries.length)
        for (const [hi, lo] of entries) {
          const found: number[] = []
          ids.find(hi, lo, found)
          const expected = entries.flatMap(([h, l], i) => (h === hi && l === lo ? [i + 1] : []))
          assert.deepEqual(
            found.sort((a, b) => a - b),
            expected,
          )
          assert.ok(ids.has(hi, lo))
          assert.ok(
            !ids.has(hi, (lo ^ 0x5555) >>> 0) ||
              entries.some(([h, l]) => h === hi && l === (lo ^ 0x5555) >>> 0),
          )
        }
      }),
      { numRuns: 30 },
    )
  })

  test('finds an entry by its mark, and says so when only the hash is known', () => {
    fc.assert(
      fc.property(clustered, (entries) => {
        const ids = filled(entries)
        for (const [i, [hi, lo]] of entries.entries()) {
          assert.equal(ids.placeOfMark(hi, lo, markOf(i), 0), i + 1)
          for (let word = 0; word < 4; word++) {
            const other = markOf(i)
            other[word]! ^= 0x8000_0000
            assert.equal(ids.placeOfMark(hi, lo, other, 0), Sighting.unsure)
          }
          ids.undo(hi, lo, i + 1)
          const isLast = entries.every(([h, l], j) => j <= i || h !== hi || l !== lo)
          assert.equal(ids.placeOfMark(hi, lo, markOf(i), 0), isLast ? Sighting.none : Sighting.unsure)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('takes no memory for marks until one comes, and keeps those it has as it grows', () => {
    const ids = new HotIds()
    for (let i = 1; i <= 500; i++) ids.add(i * 8_000_000, i, i, noMark, 0)
    assert.equal(ids.hasMarks, false)
    const before = ids.bytes
    ids.add(1, 1, 501, markOf(501), 0)
    assert.equal(ids.bytes, 2 * before)
    for (let i = 502; i <= 5_000; i++) ids.add(i * 800_000, i, i, markOf(i), 0)
    assert.equal(ids.placeOfMark(1, 1, markOf(501), 0), 501)
    assert.equal(ids.placeOfMark(4_000 * 800_000, 4_000, markOf(4_000), 0), 4_000)
    assert.equal(ids.placeOfMark(8_000_000, 1, markOf(1), 0), Sighting.unsure)
  })

  test('what was undone is not found, and its neighbours still are', () => {
    fc.assert(
      fc.property(clustered, (entries) => {
        const ids = filled(entries)
        for (const [i, [hi, lo]] of entries.entries()) if (i % 3 === 0) ids.undo(hi, lo, i + 1)
        const left = entries.flatMap((_, i) => (i % 3 === 0 ? [] : [i + 1]))
        const seen: number[] = []
        for (const [hi, lo] of entries) ids.find(hi, lo, seen)
        assert.deepEqual(
          [...new Set(seen)].sort((a, b) => a - b),
          left,
        )
      }),
      { numRuns: 30 },
    )
  })

  test('a seal in steps gives out every entry once, each in the chunk where it will be looked up', () => {
    fc.assert(
      fc.property(clustered, fc.integer({ min: 1, max: 200 }), (entries, parts) => {
        const source = new HotSource(filled(entries))
        const chunks = Math.max(parts, chunksFor(entries.length, 16))
        const given: number[] = []
        for (let chunk = 0; chunk < chunks; chunk++) {
          source.takeBelow(Math.ceil(((chunk + 1) * 2 ** 32) / chunks), (hi, _, place, marks, at) => {
            assert.equal(chunkOf(hi, chunks), chunk)
            assert.deepEqual(marks.slice(at, at + 4), markOf(place - 1))
            given.push(place)
          })
        }
        assert.deepEqual(
          given.sort((a, b) => a - b),
          entries.map((_, i) => i + 1),
        )
      }),
      { numRuns: 60 },
    )
  })
})

describe('the filter', () => {
  test('never says no to what it holds, and seldom yes to anything else (N5)', () => {
    const random = (): number => Math.floor(Math.random() * 2 ** 32)
    const entries = Array.from({ length: 20_000 }, (): Entry => [random(), random()])
    const filter = IdFilter.for(entries.length)
    for (const [hi, lo] of entries) filter.add(hi, lo)
    for (const [hi, lo] of entries) assert.ok(filter.mayHold(hi, lo))
    let wrong = 0
    for (let i = 0; i < 100_000; i++) if (filter.mayHold(random(), random())) wrong++
    assert.ok(wrong < 1_000, `${wrong} of 100,000 pass`)
    assert.ok((filter.words.byteLength * 8) / entries.length < 16)
  })
})
