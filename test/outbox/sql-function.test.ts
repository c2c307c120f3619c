import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { openBus, RawJson } from '../../src/index.ts'
import { publishIn, sequenceOutbox, viaPg } from '../../src/outbox/index.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { OutboxDatabase } from './outbox-database.ts'
import { notes, orders } from './outbox-topics.ts'

const empty = (database: OutboxDatabase) => until(async () => (await database.waiting()) === 0)

test('any program publishes by one function of the schema', async () => {
  await using database = await OutboxDatabase.open()
  const { rows } = await database.query(
    `select semel.publish('orders', 'ada', 'order.placed', '{"customer": "ada", "n": 12345678901234567890}')`,
  )
  await database.query(
    `select semel.publish(topic => 'notes', key => null, type => null, data => '"hello"', id => 'my id',
      source => '/billing', "time" => '2026-01-02T03:04:05.678Z', attributes => '{"subject": "it"}')`,
  )
  await using _ = await sequenceOutbox(database.bus)
  await empty(database)
  const [order] = await readAll(database.bus, orders)
  assert.equal(order!.id, rows[0].publish)
  assert.deepEqual([order!.key, order!.type, order!.source], ['ada', 'order.placed', '/semel'])
  assert.ok(Math.abs(order!.time - Date.now()) < 60_000)
  const [note] = await readAll(database.bus, notes)
  assert.deepEqual(
    [note!.id, note!.key, note!.type, note!.source, note!.time, note!.attributes, note!.data],
    ['my id', null, 'notes', '/billing', Date.UTC(2026, 0, 2, 3, 4, 5, 678), { subject: 'it' }, 'hello'],
  )
  const { rows: bodies } = await database.query(
    "select body from semel.batch where body like '%12345678901234567890%'",
  )
  assert.equal(bodies.length, 1, 'digits beyond 2^53 are in the log as they were given')
})

test('the function refuses what the log would', async () => {
  await using database = await OutboxDatabase.open()
  const refused: readonly (readonly [call: string, message: RegExp])[] = [
    [`semel.publish('nowhere', 'k', 't', '1')`, /topic 'nowhere' does not exist/],
    [`semel.publish(null, 'k', 't', '1')`, /topic null does not exist/],
    [`semel.publish('notes', repeat('k', 1025), 't', '1')`, /a key has at most 1024 bytes, not 1025/],
    [`semel.publish('notes', 'k', 't', '1', id => '')`, /an id has 1 to 256 bytes, not 0/],
    [`semel.publish('notes', 'k', '', '1')`, /type and source have 1 to 4096 bytes/],
    [`semel.publish('notes', 'k', 't', null)`, /data is JSON of at most 1 MiB/],
    [`semel.publish('notes', 'k', 't', 'no json')`, /invalid input syntax for type json/],
  ]
  for (const [call, message] of refused) await assert.rejects(database.query(`select ${call}`), message)
  assert.equal(await database.waiting(), 0)
})

test('what SQL lets through and the log does not is set aside, shown, and can be tried again', async () => {
  await using database = await OutboxDatabase.open()
  const deep = '['.repeat(70) + ']'.repeat(70)
  await database.query(`select semel.publish('notes', 'k', 't', '${deep}', id => 'deep')`)
  await database.query(
    `select semel.publish('notes', 'k', 't', '1', id => 'odd', attributes => '{"colour": "red"}')`,
  )
  await database.query(`select semel.publish('notes', 'k', 't', '1', id => 'good')`)
  await using _ = await sequenceOutbox(database.bus)
  await empty(database)
  assert.deepEqual(
    (await readAll(database.bus, notes)).map(({ id }) => id),
    ['good'],
  )
  const { outbox } = await database.bus.status()
  assert.equal(outbox!.refusedEvents, 2)
  assert.match(outbox!.refusal!, /TOO_DEEP/)
  const { rows } = await database.query(
    `update semel.outbox_refused set attributes = null where event_id = 'odd' returning semel.outbox_retry(id)`,
  )
  assert.equal(rows.length, 1)
})

test('raw JSON stays as it is', async () => {
  await using database = await OutboxDatabase.open()
  const raw = new RawJson('{ "n": 1.0, "big": 12345678901234567890 }')
  await database.transaction((client) =>
    publishIn(viaPg(client), notes, raw, undefined, { schema: database.schema }),
  )
  await using _ = await sequenceOutbox(database.bus)
  await empty(database)
  const [note] = await readAll(database.bus, notes)
  assert.ok(note!.data instanceof RawJson)
  assert.equal(note!.data.text, raw.text)
})

test('a role that may only publish', async () => {
  await using database = await OutboxDatabase.open()
  const role = `publisher_${process.pid}`
  await database.query(`create role ${role} login; grant usage on schema ${database.schema} to ${role}`)
  const url = new URL(database.url)
  url.username = role
  const call = `select ${database.schema}.publish('notes', 'k', 't', '1')`
  await assert.rejects(queryOnce(url.href, call), /permission denied/)
  await database.query(`grant execute on function semel.publish to ${role}`)
  await queryOnce(url.href, call)
  await assert.rejects(queryOnce(url.href, `select * from ${database.schema}.outbox`), /permission denied/)
  await using _ = await sequenceOutbox(database.bus)
  await empty(database)
  assert.equal((await readAll(database.bus, notes)).length, 1)
  await database.query(`drop owned by ${role}; drop role ${role}`)
})

test('into a bus on another engine', async () => {
  await using database = await OutboxDatabase.open()
  await using target = await openBus({ engine: memory(), topics: [orders, notes] })
  await target.publish(orders, { customer: 'ada', n: 0 }, { id: 'taken' })
  const publish = (id: string) =>
    database.transaction((client) =>
      publishIn(viaPg(client), orders, { customer: 'ada', n: 1 }, { id }, { schema: database.schema }),
    )
  for (const id of ['a', 'taken', 'b']) await publish(id)
  await using _ = await sequenceOutbox(database.bus, { into: target })
  await empty(database)
  assert.deepEqual(
    (await readAll(target, orders)).map(({ id }) => id),
    ['taken', 'a', 'b'],
  )
  assert.deepEqual(await database.ids(), [])
  assert.match((await database.bus.status()).outbox!.refusal!, /ID_CONFLICT/)
})
