import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FleetingMap } from '../../src/engine/fleeting-map.ts'

test('it is a map', () => {
  const map = new FleetingMap<number, string>()
  for (let n = 0; n < 1_000; n++) map.set(n, `v${n}`)
  for (let n = 0; n < 1_000; n++) if (n % 100 !== 7) assert.equal(map.delete(n), true)
  assert.equal(map.delete(3), false)
  assert.equal(map.size, 10)
  assert.equal(map.get(107), 'v107')
  assert.equal(map.get(108), undefined)
  assert.deepEqual(
    [...map.entries()].map(([key]) => key),
    [7, 107, 207, 307, 407, 507, 607, 707, 807, 907],
  )
  map.clear()
  assert.equal(map.size, 0)
})

test('what has passed through it goes with the next collections of the young generation', () => {
  setFlagsFromString('--expose-gc')
  const collect: (options: { type: 'minor' }) => void = runInNewContext('gc')
  const entries = 4_000
  const entryBytes = 8 * 1024
  const map = new FleetingMap<number, number[]>()
  // Its first table becomes old.
  for (let n = 0; n < 4; n++) collect({ type: 'minor' })
  const before = oldBytes()
  for (let n = 0; n < entries; n++) {
    map.set(n, new Array<number>(entryBytes / 8).fill(n))
    map.delete(n - 4)
    if (n % 20 === 0) collect({ type: 'minor' })
  }
  // With a `Map` it is nearly everything.
  const grownBytes = oldBytes() - before
  assert.ok(grownBytes < (entries * entryBytes) / 4, `${grownBytes} bytes have become old`)
})

function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')!.space_used_size
}
