import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { channels } from '../../src/runtime/channels.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../support/until.ts'

const server = await sharedPostgres(18)
const events = 2_000
const keys = 200

/** A pool of the user's, and the texts of all that is sent over it. */
function watchedPool(texts: string[]): pg.Pool {
  const pool = new pg.Pool({ connectionString: server.url, max: 6 })
  pool.on('connect', (client) => {
    const query = client.query.bind(client)
    client.query = (...given: unknown[]) => {
      const [first] = given
      texts.push(typeof first === 'string' ? first : String(Reflect.get(Object(first), 'text')))
      return Reflect.apply(query, undefined, given)
    }
  })
  return pool
}

/** Whether the topic has arrived, work above the position, and redrives: of the one task, once. */
const readsAtLoad = 3

test('a unit of many events is one statement, and the state of all its keys comes with another', async () => {
  const schema = freshSchema(server)
  const steps = topic<{ key: string }>('steps', { partitions: 1, key: ({ key }) => key })
  const sums = topic<number>('sums', { partitions: 1 })
  const texts: string[] = []
  const pool = watchedPool(texts)
  const units: { group: string; events: number }[] = []
  const onCommit = (unit: unknown): void => void units.push(unit as { group: string; events: number })
  {
    await using bus = await openBus({
      engine: postgres({ pool, schema: schema.name }),
      topics: [steps, sums],
    })
    await bus.publishMany(Array.from({ length: events }, (_, n) => steps.event({ key: `k${n % keys}` })))
    texts.length = 0
    channels.commit.subscribe(onCommit)
    bus.consume(steps, { group: 'g' }, async (_event, tx) => {
      const state = tx.state<number>('sum')
      const sum = ((await state.get()) ?? 0) + 1
      await state.set(sum)
      tx.emit(sums, sum)
    })
    await until(() => units.reduce((sum, unit) => sum + unit.events, 0) === events)
    channels.commit.unsubscribe(onCommit)
  }
  const sent = (name: string) => texts.filter((text) => text.includes(name)).length
  assert.ok(units.length <= events / 50, `${units.length} units for ${events} events`)
  assert.ok(sent('.write(') <= units.length + 2, `${sent('.write(')} writes for ${units.length} units`)
  assert.ok(sent('.read_state(') <= units.length + readsAtLoad, `${sent('.read_state(')} reads of state`)
  assert.equal(sent('begin'), 0, 'nothing is held open between statements')
  await pool.end()
  await schema.drop()
})

test('readers at the ends of their partitions ask together, and each hears of its own', async () => {
  const schema = freshSchema(server)
  const partitions = 8
  const ticks = topic<{ n: number }>('ticks', { partitions, key: ({ n }) => `${n}` })
  const texts: string[] = []
  const pool = watchedPool(texts)
  {
    await using bus = await openBus({
      engine: postgres({ pool, schema: schema.name, notify: false }),
      topics: [ticks],
    })
    await bus.publishMany(Array.from({ length: 100 }, (_, n) => ticks.event({ n })))
    const readAll = async (offsets: readonly number[]) =>
      await Promise.all(
        offsets.map(async (offset, partition) => {
          const request = { topic: 'ticks', partition, offset, maxEvents: 100, maxBytes: 1_000_000 }
          return await bus.engine.read(request)
        }),
      )
    const ends = (await readAll(Array(partitions).fill(0))).map(({ next }) => next)
    texts.length = 0
    const atEnds = await readAll(ends)
    assert.equal(texts.filter((text) => text.includes('.read(')).length, 1)
    assert.deepEqual(
      atEnds,
      ends.map((end) => ({ events: [], bytes: 0, next: end, end })),
    )
    const { partition, offset } = await bus.publish(ticks, { n: 100 })
    const after = await readAll(ends)
    assert.deepEqual(
      after.flatMap(({ events: found }, p) => found.map((event) => [p, event.offset, event.data])),
      [[partition, offset, { n: 100 }]],
    )
  }
  await pool.end()
  await schema.drop()
})

test('units with SQL of several partitions that emit to one topic: each is written once', async () => {
  const schema = freshSchema(server)
  const steps = topic<{ key: string }>('steps', { partitions: 4, key: ({ key }) => key })
  const sums = topic<number>('sums', { partitions: 1 })
  const texts: string[] = []
  const pool = watchedPool(texts)
  let handled = 0
  let units = 0
  const onCommit = (unit: unknown): void => {
    units++
    handled += (unit as { events: number }).events
  }
  {
    await using bus = await openBus({
      engine: postgres({ pool, schema: schema.name }),
      topics: [steps, sums],
    })
    const table = `${schema.name}.step`
    await pool.query(`create table ${table} (key text)`)
    await bus.publishMany(Array.from({ length: events }, (_, n) => steps.event({ key: `k${n}` })))
    texts.length = 0
    channels.commit.subscribe(onCommit)
    bus.consume(steps, { group: 'g' }, async ({ data: { key } }, tx) => {
      await tx.query(`insert into ${table} values ($1)`, [key])
      tx.emit(sums, 1)
    })
    await until(() => handled === events)
    channels.commit.unsubscribe(onCommit)
  }
  assert.ok(units >= 4, `${units} units`)
  assert.equal(texts.filter((text) => text.includes('.write(')).length, units)
  await pool.end()
  await schema.drop()
})
