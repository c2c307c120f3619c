import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { HotIds } from '../../../src/engines/sqlite/hot-ids.ts'
import { chunkOf, chunksFor } from '../../../src/engines/sqlite/id-chunk.ts'
import { IdFilter } from '../../../src/engines/sqlite/id-filter.ts'
import { HotSource } from '../../../src/engines/sqlite/id-sources.ts'

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

function filled(entries: readonly Entry[]): HotIds {
  const ids = new HotIds()
  for (const [index, [hi, lo]] of entries.entries()) ids.add(hi, lo, index + 1)
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
        const chunks = Math.max(parts, chunksFor(entries.length))
        const given: number[] = []
        for (let chunk = 0; chunk < chunks; chunk++) {
          source.takeBelow(Math.ceil(((chunk + 1) * 2 ** 32) / chunks), (hi, _, place) => {
            assert.equal(chunkOf(hi, chunks), chunk)
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
