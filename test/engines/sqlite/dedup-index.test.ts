import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupIndex } from '../../../src/engines/sqlite/dedup-index.ts'
import { noMark } from '../../../src/engines/sqlite/marks.ts'

test('ids that were frozen and come back, because another process sealed some of them, keep their times (N3)', () => {
  const index = new DedupIndex()
  for (let place = 1; place <= 4; place++)
    index.add({ hi: place, lo: 0, place, marks: markOf(place), at: 0 }, 1_000 + place)
  index.freeze(new Map())
  index.forgetSealed((place) => place <= 2)
  const { ids, oldestMs, newestMs } = index.freeze(new Map())
  assert.equal(ids.size, 2)
  assert.ok(oldestMs <= 1_003, `oldest ${oldestMs}`)
  assert.equal(newestMs, 1_004)
  assert.equal(index.placeOfSame(3, 0, markOf(3), 0, 0), 3)
})

test('a mark decides only while everything in its table is inside the window (N3)', () => {
  const index = new DedupIndex()
  for (let place = 1; place <= 2; place++)
    index.add({ hi: place, lo: 0, place, marks: markOf(place), at: 0 }, 1_000 + place)
  for (const freeze of [false, true]) {
    if (freeze) index.freeze(new Map())
    assert.equal(index.placeOfSame(2, 0, markOf(2), 0, 1_000), 2)
    assert.equal(index.placeOfSame(2, 0, markOf(2), 0, 1_001), 0)
    assert.equal(index.placeOfSame(2, 0, markOf(1), 0, 1_000), 0)
    assert.equal(index.placeOfSame(3, 0, markOf(2), 0, 1_000), 0)
  }
})

test('four zeros are no mark: the row decides (N5)', () => {
  const index = new DedupIndex()
  index.add({ hi: 1, lo: 2, place: 3, marks: noMark, at: 0 }, 1_000)
  assert.equal(index.placeOfSame(1, 2, noMark, 0, 0), 0)
  assert.deepEqual(index.candidates(1, 2), [3])
})

test('a transaction of very many ids is taken back as a whole', () => {
  const index = new DedupIndex()
  const many = 50_000
  const addAll = (): void => {
    for (let n = 1; n <= many; n++)
      index.add({ hi: (n * 2_654_435_761) >>> 0, lo: n, place: n, marks: noMark, at: 0 }, 1_000)
  }
  const known = (): number => {
    let found = 0
    for (let n = 1; n <= many; n++) found += index.candidates((n * 2_654_435_761) >>> 0, n).length
    return found
  }
  addAll()
  index.undo()
  assert.equal(known(), 0)
  addAll()
  index.keep()
  index.undo()
  assert.equal(known(), many)
})

test('a rollback takes back what its transaction added, and nothing of those before it (N4)', () => {
  const index = new DedupIndex()
  const hashOf = (place: number): number => Math.imul(place, 0x9e3779b1) >>> 0
  const add = (from: number, to: number): void => {
    for (let place = from; place < to; place++)
      index.add({ hi: hashOf(place), lo: 0, place, marks: noMark, at: 0 }, 1_000)
  }
  const known = (from: number, to: number): number => {
    let count = 0
    for (let place = from; place < to; place++) if (index.mayKnow(hashOf(place), 0)) count++
    return count
  }
  // A short transaction, one as long, one much longer, and a short one again.
  let end = 1
  for (const length of [100, 100, 10_000, 100]) {
    add(end, end + length)
    index.keep()
    end += length
    add(end, end + length)
    index.undo()
    assert.equal(known(1, end), end - 1)
    assert.equal(known(end, end + length), 0)
  }
})

function markOf(place: number): Uint32Array {
  return Uint32Array.of(1, place, 2, place)
}
