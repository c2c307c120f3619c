import assert from 'node:assert/strict'
import { test } from 'node:test'
import type pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus } from '../../src/index.ts'
import { publishIn, sequenceOutbox, viaPg } from '../../src/outbox/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { storageFailure, wrapEngine, wrapTransaction } from '../support/wrap-engine.ts'
import { CountedPublishers } from './counted-publishers.ts'
import { OutboxDatabase } from './outbox-database.ts'
import { notes, type Order, orders } from './outbox-topics.ts'

const publishOrder = (database: OutboxDatabase, client: pg.ClientBase, id: string, customer = 'ada') =>
  publishIn(viaPg(client), orders, { customer, n: 1 }, { id }, { schema: database.schema })

const longLeaseMs = 60_000

async function epoch(database: OutboxDatabase): Promise<number> {
  const { rows } = await database.query('select epoch from semel.task')
  return Number(rows[0]?.epoch)
}

for (const version of [16, 18] as const) {
  test(`PostgreSQL ${version}: committed events arrive, rolled back ones never do`, async () => {
    await using database = await OutboxDatabase.open(version)
    await database.transaction((client) => publishOrder(database, client, 'committed'))
    await assert.rejects(
      database.transaction(async (client) => {
        await publishOrder(database, client, 'failed')
        throw new Error('the program changed its mind')
      }),
    )
    await database.transaction(async (client) => {
      await client.query('savepoint a')
      await publishOrder(database, client, 'undone')
      await client.query('rollback to savepoint a')
      await publishOrder(database, client, 'kept')
      await client.query('savepoint b')
      await publishOrder(database, client, 'undone as well')
      await client.query('rollback to savepoint b')
    })
    assert.deepEqual(await database.ids(), [])
    assert.equal(await database.waiting(), 2)
    await using sequencer = await sequenceOutbox(database.bus)
    await until(async () => (await database.waiting()) === 0)
    assert.equal(sequencer.isActive, true)
    assert.deepEqual(await database.ids(), ['committed', 'kept'])
  })
}

test('an event arrives as it was published', async () => {
  await using database = await OutboxDatabase.open()
  const attributes = {
    id: 'a "quoted" id, ü',
    key: '',
    type: 'note.written',
    source: '/here',
    time: 1_700_000_000_000,
    subject: 'subject',
    producersequence: 7,
  }
  const data = { text: 'nul \u0000, quote ", backslash \\, 𝄞', list: [1, 2.5, null, true, {}] }
  const bytes = new Uint8Array([0, 255, 128])
  await database.transaction(async (client) => {
    await publishIn(viaPg(client), notes, data, attributes, { schema: database.schema })
    await publishIn(viaPg(client), notes, bytes, { id: 'bytes', key: '' }, { schema: database.schema })
  })
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  const [event, binary] = await readAll(database.bus, notes)
  const { subject, producersequence, ...given } = attributes
  assert.deepEqual(
    { ...event, offset: 0, appendTime: 0 },
    {
      ...given,
      data,
      attributes: { subject, producersequence },
      topic: 'notes',
      partition: event!.partition,
      offset: 0,
      appendTime: 0,
    },
  )
  assert.deepEqual(binary!.data, Buffer.from(bytes))
})

test('events of a key are in the order of the commits, not of the inserts', async () => {
  await using database = await OutboxDatabase.open()
  const [first, second] = [await database.pool.connect(), await database.pool.connect()]
  await first.query('begin')
  await publishOrder(database, first, 'inserted first')
  await second.query('begin')
  await publishOrder(database, second, 'committed first')
  await second.query('commit')
  await first.query('commit')
  first.release()
  second.release()
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  assert.deepEqual(await database.ids(), ['committed first', 'inserted first'])
})

test('an open transaction keeps no other event waiting, of its own key or another', async () => {
  await using database = await OutboxDatabase.open()
  await using _ = await sequenceOutbox(database.bus)
  const open = await database.pool.connect()
  await open.query('begin')
  await publishOrder(database, open, 'late')
  for (let n = 0; n < 5; n++)
    await database.transaction((client) => publishOrder(database, client, `early-${n}`))
  await until(async () => (await database.ids()).length === 5)
  await open.query('commit')
  open.release()
  await until(async () => (await database.ids()).at(-1) === 'late')
})

test('a number drawn too early is drawn again (set constraints all immediate)', async () => {
  await using database = await OutboxDatabase.open()
  const client = await database.pool.connect()
  await client.query('begin')
  await publishOrder(database, client, 'b1', 'bob')
  await client.query('set constraints all immediate')
  await database.transaction((other) => publishOrder(database, other, 'a1'))
  await publishOrder(database, client, 'a2')
  await client.query('commit')
  client.release()
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  const ids = await database.ids()
  assert.deepEqual(
    ids.filter((id) => id.startsWith('a')),
    ['a1', 'a2'],
  )
  assert.ok(ids.includes('b1'))
})

test('who publishes a key waits in its commit for whoever has a number for that key already', async () => {
  await using database = await OutboxDatabase.open()
  const [first, second] = [await database.pool.connect(), await database.pool.connect()]
  await first.query('begin')
  await publishOrder(database, first, 'first')
  await first.query('set constraints all immediate')
  await second.query('begin')
  await publishOrder(database, second, 'second')
  const committing = second.query('commit')
  const pid = Reflect.get(second, 'processID')
  await until(async () => {
    const { rows } = await database.query('select pg_blocking_pids($1) as pids', [pid])
    return rows[0].pids.length > 0
  })
  await first.query('commit')
  await committing
  first.release()
  second.release()
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  assert.deepEqual(await database.ids(), ['first', 'second'])
})

test('in transactions of every isolation level, and with triggers switched off', async () => {
  await using database = await OutboxDatabase.open()
  for (const level of ['read committed', 'repeatable read', 'serializable']) {
    const clients = [await database.pool.connect(), await database.pool.connect()]
    for (const client of clients) await client.query(`begin isolation level ${level}; select 1`)
    for (const [n, client] of clients.entries()) await publishOrder(database, client, `${level} ${n}`)
    for (const client of clients.reverse()) await client.query('commit')
    for (const client of clients) client.release()
  }
  await database.transaction(async (client) => {
    await client.query('set local session_replication_role = replica')
    await publishOrder(database, client, 'replica')
  })
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  const levels = ['read committed', 'repeatable read', 'serializable'].flatMap((level) => [
    `${level} 1`,
    `${level} 0`,
  ])
  assert.deepEqual(await database.ids(), [...levels, 'replica'])
})

test('many writers with random delays and rollbacks, two sequencers: once each, in commit order per key (P5)', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  const other = await database.openBus('other')
  const sequencers = [await sequenceOutbox(database.bus), await sequenceOutbox(other)]
  await publishers.run(12, (round) => round === 20)
  await until(async () => (await database.waiting()) === 0)
  await publishers.check()
  assert.equal(sequencers.filter(({ isActive }) => isActive).length, 1)
  for (const sequencer of sequencers) await sequencer.stop()
  await other.stop()
})

test('an event whose id stands for something else is set aside, and the others go on', async () => {
  await using database = await OutboxDatabase.open()
  await database.bus.publish(orders, { customer: 'ada', n: 0 }, { id: 'taken' })
  await database.transaction(async (client) => {
    for (const id of ['before', 'taken', 'after']) await publishOrder(database, client, id)
  })
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  assert.deepEqual(await database.ids(), ['taken', 'before', 'after'])
  const { outbox } = await database.bus.status()
  assert.equal(outbox?.refusedEvents, 1)
  assert.match(outbox?.refusal ?? '', /ID_CONFLICT.*taken/)
  const { rows } = await database.query('select event_id from semel.outbox_refused')
  assert.deepEqual(rows, [{ event_id: 'taken' }])
})

test('an event that was published before is left out (N1)', async () => {
  await using database = await OutboxDatabase.open()
  await database.bus.publish(orders, { customer: 'ada', n: 1 }, { id: 'same' })
  await database.transaction((client) => publishOrder(database, client, 'same'))
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.waiting()) === 0)
  assert.deepEqual(await database.ids(), ['same'])
})

test('events leave the outbox in bounded steps, by their number and their size, and always one', async () => {
  await using database = await OutboxDatabase.open()
  const ids = Array.from({ length: 24 }, (_, n) => `e${n}`)
  for (const part of [ids.slice(0, 12), ids.slice(12)]) {
    await database.transaction(async (client) => {
      for (const id of part) await publishOrder(database, client, id)
    })
  }
  const take = async (events: number, bytes: number): Promise<string[]> => {
    const { rows } = await database.query('select event_id from semel.outbox_take($1, $2, 0, $3)', [
      events,
      bytes,
      '',
    ])
    return rows.map((row) => row.event_id)
  }
  assert.deepEqual(await take(5, 1_000_000), ids.slice(0, 5))
  assert.equal(await database.waiting(), 19)
  assert.deepEqual(await take(100, 1), ids.slice(5, 6))
  assert.deepEqual(await take(100, 1_000_000), ids.slice(6))
  assert.equal(await database.waiting(), 0)
})

test('a stuck sequencer says why in the status, and goes on when it can', async () => {
  await using database = await OutboxDatabase.open()
  await using _ = await sequenceOutbox(database.bus)
  await until(async () => (await database.bus.status()).outbox!.sequencer !== undefined)
  await database.query('alter table semel.outbox_refused add constraint nothing check (id < 0)')
  await database.bus.publish(orders, { customer: 'ada', n: 0 }, { id: 'taken' })
  await database.transaction((client) => publishOrder(database, client, 'taken'))
  await until(async () => (await database.bus.status()).outbox?.problem !== undefined)
  const { outbox } = await database.bus.status()
  assert.equal(outbox!.problem!.code, 'QUERY_FAILED')
  assert.match(outbox!.problem!.message, /nothing/)
  assert.equal(outbox!.waitingEvents, 1)
  assert.ok(outbox!.oldestMs > 0)
  await database.query('alter table semel.outbox_refused drop constraint nothing')
  await until(async () => (await database.bus.status()).outbox!.refusedEvents === 1)
  assert.equal((await database.bus.status()).outbox!.problem, undefined)
})

test('after a step of unknown outcome the lease is given back: the events go on at once, with a higher epoch (U1, Z1)', async () => {
  await using database = await OutboxDatabase.open()
  const inner = postgres({ url: database.url, schema: database.schema })
  let fails = 1
  const engine = wrapEngine(inner, {
    begin: async (lease, signal) => {
      const transaction = await inner.begin(lease, signal)
      return wrapTransaction(transaction, {
        commit: async (unit) => {
          await transaction.commit(unit)
          if (unit.appends.length > 0 && fails-- > 0) throw storageFailure('unknown')
        },
      })
    },
  })
  await using bus = await openBus({ engine, topics: [orders, notes] })
  await using _ = await sequenceOutbox(bus, { leaseMs: longLeaseMs })
  const startedMs = performance.now()
  await database.transaction((client) => publishOrder(database, client, 'first'))
  await until(async () => (await epoch(database)) === 2)
  await database.transaction((client) => publishOrder(database, client, 'second'))
  await until(async () => (await database.waiting()) === 0)
  assert.deepEqual(await database.ids(), ['first', 'second'])
  assert.ok(performance.now() - startedMs < longLeaseMs / 2, 'nobody waited for the lease to run out')
})

test('publishIn refuses what publish would, before anything is sent', async () => {
  await using database = await OutboxDatabase.open()
  const bad = { customer: 'ada', n: Number.NaN } satisfies Order
  await database.transaction(async (client) => {
    const via = viaPg(client)
    await failsWith('INVALID_DATA', publishIn(via, orders, bad))
    await failsWith('INVALID_ID', publishIn(via, orders, { customer: 'ada', n: 1 }, { id: '' }))
  })
  assert.equal(await database.waiting(), 0)
})
