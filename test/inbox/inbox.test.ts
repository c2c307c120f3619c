import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { openBus } from '../../src/index.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import {
  newFile,
  newSink,
  openSink,
  openSource,
  paymentsOf,
  quick,
  requireExactlyOnce,
  sources,
  untilBooked,
} from './inbox.ts'
import { book, booked, payments } from './topics.ts'

const server = await sharedPostgres(18)

describe('a group that reads one engine and commits to a PostgreSQL', () => {
  for (const { name, create } of sources) {
    test(`${name}: rows, state, emits and position commit together; attempts that fail leave nothing (X1, X2)`, async () => {
      await using database = await newSink(server)
      await using source = await openSource((await create(server))())
      await using sink = await openSink(database.url)
      const given = paymentsOf(7, 30)
      const random = new SeededRandom(5)
      source.consume(payments, { group: 'books', sink, retry: quick }, async (event, tx) => {
        await book(event, tx)
        if (random.fraction() < 0.2) throw new Error('after its effects')
      })
      await source.publishMany(given.map((payment) => payments.event(payment)))
      await untilBooked(database, given.length)
      await requireExactlyOnce(database, sink, given)
    })
  }

  test('members that come and go share the work, and what they did is not done again', async () => {
    await using database = await newSink(server)
    const file = newFile()
    const given = paymentsOf(6, 60)
    for (let life = 0; life < 3; life++) {
      const some = given.slice(life * 120, (life + 1) * 120)
      await using source = await openSource(sqlite({ file }))
      await using second = await openSource(sqlite({ file }))
      await using sink = await openSink(database.url)
      await using secondSink = await openSink(database.url)
      source.consume(payments, { group: 'books', sink, leaseMs: 600 }, book)
      const other = second.consume(payments, { group: 'books', sink: secondSink, leaseMs: 600 }, book)
      await source.publishMany(some.map((payment) => payments.event(payment)))
      await untilBooked(database, life * 120 + 40)
      await other.stop()
      await untilBooked(database, (life + 1) * 120)
    }
    await using sink = await openSink(database.url)
    await requireExactlyOnce(database, sink, given)
  })

  test('replies to COMMIT are lost, and COMMITs that never arrive: each effect once (Q2, X2)', async () => {
    await using database = await newSink(server)
    await using proxy = await startPostgresProxy(database)
    await using source = await openSource(sqlite({ file: newFile() }))
    await using sink = await openSink(proxy.url)
    const given = paymentsOf(5, 60)
    source.consume(payments, { group: 'books', sink, retry: quick, windowEvents: 20 }, book)
    const traps = (['drop-reply', 'cut-request', 'drop-reply', 'cut-request', 'drop-reply'] as const).map(
      (kind, i) => proxy.trap({ kind, nth: 1 + i }),
    )
    for (const payment of given) await source.publish(payments, payment)
    for (const trap of traps) await trap.sprung()
    await untilBooked(database, given.length)
    await requireExactlyOnce(database, sink, given)
  })

  test('at-most-once moves the position in the sink before the handler runs (A1)', async () => {
    await using database = await newSink(server)
    await using source = await openSource(memory())
    await using sink = await openSink(database.url)
    let calls = 0
    const consumer = source.consume(
      payments,
      { group: 'books', sink, guarantee: 'at-most-once', retry: { attempts: 1 } },
      () => {
        calls++
        throw new Error('no second time')
      },
    )
    await source.publishMany(paymentsOf(3, 2).map((payment) => payments.event(payment)))
    await until(() => calls === 6)
    await consumer.stop()
    const tasks = (await sink.status()).groups.find(({ group }) => group === 'books')!.tasks
    assert.equal(
      tasks.reduce((sum, { position }) => sum + (position ?? 0), 0),
      6,
    )
  })

  test('dead letters are kept in the sink, redriven from there, once (L3)', async () => {
    await using database = await newSink(server)
    await using source = await openSource(sqlite({ file: newFile() }))
    await using sink = await openSink(database.url)
    let broken = true
    source.consume(
      payments,
      { group: 'books', sink, retry: { attempts: 3, baseDelayMs: 1 } },
      async (event, tx) => {
        await book(event, tx)
        if (broken && event.data.n === 1) throw new Error('cannot book this')
      },
    )
    await source.publishMany(paymentsOf(4, 3).map((payment) => payments.event(payment)))
    const letters = source.deadLetters('books', { sink })
    await untilBooked(database, 8)
    await until(async () => (await letters.list()).length === 4)
    const listed = await letters.list()
    assert.ok(listed.every(({ attempts, event }) => attempts === 3 && event.id !== ''))
    assert.deepEqual(await source.deadLetters('books').list(), [], 'the source knows nothing of them')

    broken = false
    await letters.redrive([...listed, ...listed])
    await until(async () => (await letters.list()).length === 0)
    await untilBooked(database, 12)
    const rows = await queryOnce<{ n: number }>(database.url, 'select n from ledger')
    assert.deepEqual(rows.map(({ n }) => n).sort(), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
  })
})

describe('a source that is not the one it was (D6)', () => {
  test('another log under the same name: LOG_REGRESSED, nothing is read or skipped', async () => {
    await using database = await newSink(server)
    await using sink = await openSink(database.url)
    for (const file of [newFile(), newFile()]) {
      const isSecond = (await queryOnce(database.url, 'select 1 from ledger limit 1')).length > 0
      await using source = await openSource(sqlite({ file }))
      await source.publishMany(paymentsOf(6, 5).map((payment) => payments.event(payment)))
      const consumer = source.consume(payments, { group: 'books', sink }, book)
      if (isSecond) {
        await until(() => consumer.tasks().filter(({ error }) => error !== undefined).length === 3)
        for (const { error } of consumer.tasks()) await failsWith('LOG_REGRESSED', Promise.reject(error))
      } else await untilBooked(database, 30)
    }
    await requireExactlyOnce(database, sink, paymentsOf(6, 5))
  })

  test('an old copy that is shorter, and one that has grown past the position again', async () => {
    await using database = await newSink(server)
    await using sink = await openSink(database.url)
    const [file, copy] = [newFile(), newFile()]
    for (const from of [0, 5]) {
      await using source = await openSource(sqlite({ file }))
      source.consume(payments, { group: 'books', sink }, book)
      await source.publishMany(paymentsOf(6, 5, from).map((payment) => payments.event(payment)))
      await untilBooked(database, (from + 5) * 6)
      await source.stop()
      if (from === 0) copyFileSync(file, copy)
    }
    for (const isLonger of [false, true]) {
      await using source = await openSource(sqlite({ file: copy }))
      if (isLonger) await source.publishMany(paymentsOf(6, 20, 100).map((payment) => payments.event(payment)))
      const consumer = source.consume(payments, { group: 'books', sink }, book)
      await until(() => consumer.tasks().filter(({ error }) => error !== undefined).length === 3)
      for (const { error } of consumer.tasks()) {
        const { message } = await failsWith('LOG_REGRESSED', Promise.reject(error))
        assert.match(message, isLonger ? /another event at offset/ : /but the log ends at/)
      }
    }
    await requireExactlyOnce(database, sink, paymentsOf(6, 10))
  })

  test('a group cannot read a topic here and there under one name', async () => {
    await using database = await newSink(server)
    await using source = await openSource(memory())
    await using sink = await openBus({
      engine: postgres({ url: database.url }),
      topics: [booked, payments],
    })
    await source.publish(payments, { account: 'a', n: 0 })
    const consumer = source.consume(payments, { group: 'books', sink }, book)
    await untilBooked(database, 1)
    await consumer.stop()
    const own = sink.consume(payments, { group: 'books' }, book)
    await until(() => own.tasks().some(({ error }) => error !== undefined))
    for (const { error } of own.tasks()) if (error) await failsWith('LOG_REGRESSED', Promise.reject(error))
  })
})

describe('what cannot be is said at once', () => {
  test('a sink must be an open bus', async () => {
    await using source = await openSource(memory())
    await failsWith('INVALID_OPTION', () => source.consume(payments, { group: 'g', sink: {} as never }, book))
    await failsWith('INVALID_OPTION', () => source.deadLetters('g', { sink: 'x' as never }))
    await failsWith('UNKNOWN_OPTION', () => source.deadLetters('g', { sinc: source } as never))
    const stopped = await openBus({ engine: memory(), topics: [booked] })
    await stopped.stop()
    await failsWith('BUS_CLOSED', () => source.consume(payments, { group: 'g', sink: stopped }, book))
    await failsWith('BUS_CLOSED', () => source.deadLetters('g', { sink: stopped }))
  })

  test('emits go to topics of the sink; SQL is that of the sink; publish is in neither', async () => {
    await using source = await openSource(memory())
    await using sink = await openBus({ engine: memory(), topics: [booked] })
    const attempts: Record<string, Parameters<typeof source.consume<{ account: string; n: number }>>[2]> = {
      UNKNOWN_TOPIC: ({ data }, tx) => tx.emit(payments, data),
      UNSUPPORTED: async (_event, tx) => void (await tx.query('select 1')),
      OUTSIDE_TRANSACTION: async ({ data }) => void (await sink.publish(booked, { ...data, count: 1 })),
    }
    await source.publish(payments, { account: 'a', n: 0 })
    for (const [code, handler] of Object.entries(attempts)) {
      const group = code.toLowerCase().replace('_', '-')
      source.consume(payments, { group, sink, retry: { attempts: 1 } }, handler)
      const letters = source.deadLetters(group, { sink })
      await until(async () => (await letters.list())[0]?.error.code === code)
    }
  })

  test('the consumer ends with whichever bus is stopped first', async () => {
    for (const first of ['source', 'sink'] as const) {
      await using source = await openSource(memory())
      await using sink = await openBus({ engine: memory(), topics: [booked] })
      let running = 0
      const consumer = source.consume(payments, { group: 'g', sink }, () => {
        running++
      })
      await source.publish(payments, { account: 'a', n: 0 })
      await until(() => running === 1)
      await (first === 'source' ? source : sink).stop()
      assert.deepEqual(consumer.tasks(), [])
    }
  })
})
