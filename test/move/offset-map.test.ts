import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storeNames } from '../../src/engine/store-names.ts'
import { deadLetterKey } from '../../src/features/dead-letter-record.ts'
import { moverOf } from '../../src/features/move/moved-entries.ts'
import { OffsetMap } from '../../src/features/move/offset-map.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'

/** Pairs of offsets that grow on both sides, with gaps here and there. */
function randomPairs(random: SeededRandom): readonly (readonly [source: number, target: number])[] {
  const pairs: [number, number][] = []
  let [source, target] = [random.uint32() % 5, random.uint32() % 5]
  for (let i = random.uint32() % 60; i > 0; i--) {
    pairs.push([source, target])
    source += random.fraction() < 0.9 ? 1 : 1 + (random.uint32() % 4)
    target += random.fraction() < 0.8 ? 1 : 1 + (random.uint32() % 3)
  }
  return pairs
}

describe('offsets there and here', () => {
  test('any offset comes to what a search through all pairs says', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const pairs = randomPairs(new SeededRandom(seed))
      const map = new OffsetMap()
      for (const [source, target] of pairs) map.add(source, target)
      const end = pairs.length === 0 ? 0 : pairs.at(-1)![1] + 1
      assert.equal(map.end, end)
      for (let offset = 0; offset < (pairs.at(-1)?.[0] ?? 0) + 4; offset++) {
        const name = `seed ${seed}, offset ${offset}`
        const exact = pairs.find(([source]) => source === offset)?.[1]
        assert.equal(map.exactly(offset), exact, name)
        assert.equal(map.from(offset), pairs.find(([source]) => source >= offset)?.[1] ?? end, name)
        const last = pairs.findLast(([source]) => source < offset)?.[1]
        if (last !== undefined) assert.equal(map.before(offset), last + 1, name)
      }
    }
  })

  test('what state says of offsets is said of the same events', () => {
    const map = new OffsetMap()
    for (const [source, target] of [
      [10, 0],
      [11, 1],
      [12, 5],
      [14, 6],
    ] as const)
      map.add(source, target)
    const moved = (store: string, key: string, value: string) => moverOf(store, map)?.({ key, value })
    const { finished, deadLetters, inbox, redrive } = storeNames
    assert.deepEqual(moved(finished, '', '[[11,13],[14,15]]'), { key: '', value: '[[1,6],[6,7]]' })
    assert.equal(moved(finished, '', '[[13,14]]'), undefined, 'a hole of the source holds no work')
    assert.deepEqual(moved(deadLetters, deadLetterKey(12), 'x'), { key: deadLetterKey(5), value: 'x' })
    assert.throws(() => moved(deadLetters, deadLetterKey(3), 'x'), { code: 'UNSUPPORTED' })
    assert.deepEqual(moved(inbox, 'id', '[14,99,"p"]'), { key: 'id', value: '[6,99,"p"]' })
    assert.deepEqual(moved(inbox, 'id', '[3,99,"p"]'), { key: 'id', value: '[-1,99,"p"]' })
    assert.deepEqual(moved('totals', 'k', '[11]'), { key: 'k', value: '[11]' })
    assert.equal(moved(redrive, '', '3'), undefined)
    assert.throws(() => moved('semel.unheard-of', '', ''), { code: 'UNSUPPORTED' })
  })
})
