import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupIndex } from '../../../src/engines/sqlite/dedup-index.ts'

test('ids that were frozen and come back, because another process sealed some of them, keep their times (N3)', () => {
  const index = new DedupIndex()
  for (let place = 1; place <= 4; place++) index.add(place, 0, place, 1_000 + place)
  index.freeze(new Map())
  index.forgetSealed((place) => place <= 2)
  const { ids, oldestMs, newestMs } = index.freeze(new Map())
  assert.equal(ids.size, 2)
  assert.ok(oldestMs <= 1_003, `oldest ${oldestMs}`)
  assert.equal(newestMs, 1_004)
})
