import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UuidV7Generator } from '../../src/event/uuid-v7.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { ManualPlatform } from '../engine/manual-platform.ts'

const form = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

test('ids have the form of RFC 9562 and begin with the time', () => {
  const platform = new ManualPlatform()
  const ids = new UuidV7Generator(platform.random)
  for (let i = 0; i < 1_000; i++) assert.match(ids.next(platform.clock.now()), form)
  assert.equal(timeOf(ids.next(platform.clock.now())), platform.clock.now())
})

test('ids of one generator sort in the order they were made, whatever the clock does', () => {
  const platform = new ManualPlatform()
  const ids = new UuidV7Generator(platform.random)
  const made: string[] = []
  for (const shift of [0, 1, 5_000, -60_000, 0, 59_000, -1, 10_000]) {
    platform.shiftWallClock(shift)
    for (let i = 0; i < 500; i++) made.push(ids.next(platform.clock.now()))
  }
  assert.deepEqual(made, [...made].sort())
  assert.equal(new Set(made).size, made.length)
})

test('a burst within one millisecond keeps its order', () => {
  const platform = new ManualPlatform()
  const ids = new UuidV7Generator(platform.random)
  let last = ''
  for (let i = 0; i < 200_000; i++) {
    const id = ids.next(platform.clock.now())
    assert.ok(id > last)
    last = id
  }
})

test('generators of two processes make different ids', () => {
  const { clock, random } = realPlatform
  const [one, two] = [new UuidV7Generator(random), new UuidV7Generator(random)]
  const made = Array.from({ length: 20_000 }, (_, index) => (index % 2 === 0 ? one : two).next(clock.now()))
  assert.equal(new Set(made).size, made.length)
})
