import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReadResult } from '../../src/engine/engine.ts'
import { limits } from '../../src/limits.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { record, records } from '../../src/testing/conformance/records.ts'
import { startPostgres } from '../rig/postgres/server.ts'
import { Engines } from './engines.ts'

const server = await startPostgres()

/** Reads as a consumer does that was just told of new events. */
async function readTold({ engine }: Instance, offset: number): Promise<ReadResult> {
  const place = { topic: 'orders', partition: 0 }
  return await engine.read({ ...place, offset, maxEvents: 100, maxBytes: limits.readBytesMax, isTold: true })
}

function idsOf({ events }: ReadResult): readonly string[] {
  return events.map(({ id }) => id)
}

test('what this process wrote is read at the end of a partition without the server, and is what the server has', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  await one.publish(records(3, 'before'))
  one.engine.onAppend(() => undefined)
  await one.publish([record('a', { text: 'ä"\\' }), record('b', null, { key: 'k' })])
  await one.publish([record('c')])
  server.pause()
  const told = await readTold(one, 3).finally(() => server.resume())
  assert.deepEqual(idsOf(told), ['a', 'b', 'c'])
  assert.deepEqual(told.events, await one.readAll('orders', 0, 3))
  assert.deepEqual([told.next, told.end], [6, 6])
  assert.deepEqual(
    idsOf(await readTold(one, 2)),
    ['before2', 'a', 'b', 'c'],
    'older ones come from the server',
  )
  assert.deepEqual(idsOf(await readTold(one, 4)), ['b', 'c'])
})

test('events that another process wrote in between are neither missed nor doubled', async () => {
  await using engines = new Engines(server)
  const [one, other] = [await engines.open(), await engines.open()]
  await one.declare()
  one.engine.onAppend(() => undefined)
  const published: string[] = []
  const read: string[] = []
  const readOn = async (): Promise<void> => {
    const { events, end } = await readTold(one, read.length)
    read.push(...events.map(({ id }) => id))
    assert.ok(end <= published.length, 'nothing is there before it was published')
  }
  for (const [n, isOther] of [false, true, false, false, true, true, false, true].entries()) {
    await (isOther ? other : one).publish([record(`${n}`)])
    published.push(`${n}`)
    if (!isOther || n === 7) await readOn()
  }
  while (read.length < published.length) await readOn()
  assert.deepEqual(read, published)
})

test('who was not told of events asks the server, so what others published before is there', async () => {
  await using engines = new Engines(server)
  const [one, other] = [await engines.open(), await engines.open()]
  await one.declare()
  one.engine.onAppend(() => undefined)
  await one.publish([record('own')])
  await other.publish([record('foreign')])
  assert.deepEqual(await one.ids(), ['own', 'foreign'])
})
