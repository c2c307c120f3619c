import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { failsWith } from '../support/rejects.ts'
import { countAndEmit, lane, openOn, untilCaughtUp } from './words.ts'

const events = 60

/** Units that handlers of one event after the other come to. */
async function unitsWith(unitAgeMs: number): Promise<number> {
  await using bus = await openOn(memory())
  for (let n = 0; n < events; n++) await bus.publish(lane, { key: 'k', n })
  let units = 0
  const note = (): void => {
    units += 1
  }
  channel('semel:commit').subscribe(note)
  bus.consume(lane, { group: 'g', concurrency: 1, unitAgeMs }, async (event, tx) => {
    await new Promise((resolve) => setTimeout(resolve, 2))
    await countAndEmit(event, tx)
  })
  await untilCaughtUp(bus, 'g')
  channel('semel:commit').unsubscribe(note)
  return units
}

test('units take in what finishes until they are unitAgeMs old: a commit is paid for by many events, or by few', async () => {
  const [young, old] = [await unitsWith(0), await unitsWith(5_000)]
  assert.ok(young >= events / 2, `${young} units of no age`)
  assert.ok(old <= 3, `${old} units of five seconds`)
})

test('an age is a bounded time', async () => {
  await using bus = await openOn(memory())
  for (const unitAgeMs of [-1, 0.5, 60_000])
    await failsWith('INVALID_OPTION', () => bus.consume(lane, { group: 'g', unitAgeMs }, countAndEmit))
})
