import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus } from '../../src/index.ts'
import { publishIn, sequenceOutbox, viaPg } from '../../src/outbox/index.ts'
import { startPgBouncer } from '../rig/postgres/pgbouncer.ts'
import { startPostgres } from '../rig/postgres/server.ts'
import { startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { until } from '../support/until.ts'
import { CountedPublishers } from './counted-publishers.ts'
import { OutboxDatabase } from './outbox-database.ts'
import { notes, orders } from './outbox-topics.ts'

const empty = (database: OutboxDatabase) => until(async () => (await database.waiting()) === 0)

test('stopping the bus ends its sequencer, in the middle of its work', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  const other = await database.openBus('other')
  await sequenceOutbox(other)
  await publishers.run(4, (round) => round === 5)
  await other.stop()
  assert.equal((await database.bus.status()).outbox!.sequencer, undefined)
  await using _ = await sequenceOutbox(database.bus)
  await empty(database)
  await publishers.check()
})

test('a lost answer to the commit neither loses nor doubles (U1)', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  await using proxy = await startPostgresProxy({ url: database.url })
  const engine = postgres({ url: proxy.url, schema: database.schema })
  const behind = await openBus({ engine, topics: [orders, notes] })
  const traps = [
    proxy.trap({ kind: 'drop-reply', nth: 1, statement: (sql) => sql.includes('outbox_take') }),
    proxy.trap({ kind: 'drop-reply', nth: 2 }),
    proxy.trap({ kind: 'cut-request', nth: 4 }),
  ]
  const sequencer = await sequenceOutbox(behind, { leaseMs: 500 })
  let stop = false
  const publishing = publishers.run(4, () => stop)
  for (const trap of traps) await trap.sprung()
  stop = true
  await publishing
  await empty(database)
  await publishers.check()
  await sequencer.stop()
  await behind.stop()
})

test('a sequencer whose answers are held is replaced, and what it sends later is refused (Z1)', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  await using proxy = await startPostgresProxy({ url: database.url })
  const engine = postgres({ url: proxy.url, schema: database.schema })
  const behind = await openBus({ engine, topics: [orders, notes], member: 'held' })
  const trap = proxy.trap({ kind: 'hold-request', nth: 2 })
  await sequenceOutbox(behind, { leaseMs: 300 })
  let stop = false
  const publishing = publishers.run(4, () => stop)
  await trap.sprung()
  proxy.tcp.set('both', { stalled: true })
  await using _ = await sequenceOutbox(database.bus, { leaseMs: 300 })
  await until(async () => (await database.bus.status()).outbox!.sequencer !== 'held')
  stop = true
  await publishing
  await empty(database)
  proxy.tcp.heal()
  await behind.stop().catch(() => undefined)
  await publishers.check()
})

test('backends terminated and a whole server killed: everything committed arrives, once', async () => {
  await using server = await startPostgres()
  await using database = await OutboxDatabase.on(server)
  const publishers = await CountedPublishers.on(database)
  await using _ = await sequenceOutbox(database.bus, { leaseMs: 500 })
  await publishers.run(4, (round) => round === 5)
  await server.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and application_name = 'semel'",
  )
  await publishers.run(4, (round) => round === 5)
  await server.kill9()
  await server.start()
  await publishers.run(4, (round) => round === 5)
  await empty(database)
  await publishers.check()
})

test('through PgBouncer in transaction mode', async () => {
  await using server = await startPostgres()
  await using pooler = await startPgBouncer(server)
  await using database = await OutboxDatabase.on(pooler)
  const publishers = await CountedPublishers.on(database)
  await using _ = await sequenceOutbox(database.bus)
  await publishers.run(4, (round) => round === 10)
  await empty(database)
  await publishers.check()
})

test('a transaction that is prepared and forgotten keeps nobody else waiting, and arrives when it commits', async () => {
  await using server = await startPostgres({ settings: { max_prepared_transactions: 2 } })
  await using database = await OutboxDatabase.on(server)
  await using _ = await sequenceOutbox(database.bus)
  const publish = (client: pg.ClientBase, id: string, customer: string) =>
    publishIn(viaPg(client), orders, { customer, n: 1 }, { id }, { schema: database.schema })
  const client = await database.pool.connect()
  await client.query('begin')
  await publish(client, 'prepared', 'ada')
  await client.query("prepare transaction 'forgotten'")
  client.release()
  await database.transaction((other) => publish(other, 'other', 'bob'))
  await until(async () => (await database.ids()).includes('other'))
  assert.deepEqual(await database.ids(), ['other'])
  await server.query("commit prepared 'forgotten'")
  await until(async () => (await database.ids()).includes('prepared'))
})

/** Entries of the index of numbers that were looked at so far. */
async function entriesRead(database: OutboxDatabase): Promise<number> {
  const { rows } = await database.query(
    "select idx_tup_read as n from pg_stat_user_indexes where schemaname = $1 and indexrelname = 'outbox_order_seq_key'",
    [database.schema],
  )
  return Number(rows[0].n)
}

test('rows that an old snapshot keeps are not passed over for ever', async () => {
  await using database = await OutboxDatabase.open()
  const old = new pg.Client({ connectionString: database.url })
  await old.connect()
  await old.query('begin isolation level repeatable read')
  await old.query('select 1')
  const publishers = await CountedPublishers.on(database)
  await using _ = await sequenceOutbox(database.bus)
  await publishers.run(10, (round) => round === 20)
  await empty(database)
  let before = await entriesRead(database)
  // Statistics come about once a second; the sequencer looks at least twenty times in one.
  await until(async () => {
    const { rows } = await database.query('select pg_stat_clear_snapshot(), pg_sleep(1.5)')
    const now = await entriesRead(database)
    const read = now - before
    before = now
    return rows.length === 1 && read < publishers.counts.size
  })
  await publishers.run(4, (round) => round === 3)
  await empty(database)
  await publishers.check()
  await old.end()
})
