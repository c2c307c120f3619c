import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { countAndEmit, counts, lane, openOn, untilCaughtUp } from './words.ts'

const events = 640

test('at-most-once commits once for what it claims: handlers that leave nothing behind need no unit of their own', async () => {
  await using bus = await openOn(memory())
  await bus.publishMany(Array.from({ length: events }, (_, n) => lane.event({ key: `k${n % 7}`, n })))
  const positions: number[] = []
  const note = (message: unknown): void => {
    positions.push((message as { readonly position: number }).position)
  }
  channel('semel:commit').subscribe(note)
  let handled = 0
  bus.consume(lane, { group: 'g', guarantee: 'at-most-once' }, () => {
    handled += 1
  })
  await until(() => handled === events)
  await untilCaughtUp(bus, 'g')
  channel('semel:commit').unsubscribe(note)
  assert.ok(positions.length > 1)
  assert.deepEqual(positions, [...new Set(positions)], 'every commit moves the position')
})

test('what at-most-once handlers do leave behind is committed without waiting for more events', async () => {
  await using bus = await openOn(memory())
  bus.consume(lane, { group: 'g', guarantee: 'at-most-once' }, countAndEmit)
  await bus.publish(lane, { key: 'k', n: 0 })
  await until(async () => (await readAll(bus, counts)).length === 1)
})
