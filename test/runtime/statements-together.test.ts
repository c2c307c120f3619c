import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatementsTogether } from '../../src/runtime/statements-together.ts'

test('more statements are sent together while they are quick and nobody runs a second one', () => {
  const together = new StatementsTogether()
  const sizes: number[] = []
  const roundTrip = (ms: number): void => {
    sizes.push(together.next)
    together.sent()
    together.ended(together.next, ms)
  }
  for (let n = 0; n < 5; n++) roundTrip(10)
  assert.deepEqual(sizes, [16, 32, 64, 128, 128])
  sizes.length = 0
  for (let n = 0; n < 9; n++) roundTrip(1_500)
  assert.deepEqual(sizes, [128, 64, 32, 16, 8, 4, 2, 1, 1], 'as long as a round trip takes too long')
  sizes.length = 0
  for (let n = 0; n < 4; n++) roundTrip(10)
  together.sent()
  together.fewer(5)
  together.ended(16, 10)
  for (let n = 0; n < 2; n++) roundTrip(10)
  assert.deepEqual(sizes, [1, 2, 4, 8, 5, 10], 'the sixth wanted a second one')
})
