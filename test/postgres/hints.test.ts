import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus, topic } from '../../src/index.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { record, refuses } from '../../src/testing/conformance/records.ts'
import { type FreshDatabase, freshDatabase, freshSchema } from '../rig/postgres/fresh.ts'
import { startPgBouncer } from '../rig/postgres/pgbouncer.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../rig/postgres/until.ts'
import { Engines } from './engines.ts'

const server = await sharedPostgres(18)

async function listenersOf(database: FreshDatabase): Promise<readonly { pid: number }[]> {
  return await queryOnce(
    server.url,
    `select pid from pg_stat_activity where datname = $1 and query like 'listen %'`,
    [database.name],
  )
}

/** Counts hints that reach a process. */
function countHints({ engine }: Instance): { count: number } {
  const hints = { count: 0 }
  engine.onAppend(() => {
    hints.count++
  })
  return hints
}

async function hintArrives(hints: { count: number }, publisher: Instance, id: string): Promise<void> {
  const before = hints.count
  await publisher.publish([record(id)])
  await until('the hint is there', () => hints.count > before)
}

test('a publish wakes the readers of other processes, and a listener that died listens again (Q10)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const [publisher, reader] = [await engines.open(), await engines.open()]
  await publisher.declare()
  const hints = countHints(reader)
  await until('it listens', async () => (await listenersOf(database)).length === 1 && hints.count > 0)
  await hintArrives(hints, publisher, 'a')
  const [listener] = await listenersOf(database)
  await queryOnce(server.url, 'select pg_terminate_backend($1, 5000)', [listener!.pid])
  await publisher.publish([record('missed')])
  assert.deepEqual(await reader.ids(), ['a', 'missed'], 'what no hint told of is read all the same')
  await until('it listens again', async () => (await listenersOf(database)).length === 1)
  await hintArrives(hints, publisher, 'b')
})

test('notifications that are foreign, doubled or as long as can be change nothing (Q10)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const [publisher, reader] = [await engines.open(), await engines.open()]
  await publisher.declare()
  const hints = countHints(reader)
  await until('it listens', async () => (await listenersOf(database)).length === 1 && hints.count > 0)
  const before = hints.count
  const channel = `semel_${reader.engine.logId}`
  for (const payload of ['', 'x'.repeat(7_999), '{"offset":-1}', '{"offset":-1}'])
    await queryOnce(database.url, 'select pg_notify($1, $2)', [channel, payload])
  await until('they arrived', () => hints.count >= before + 3)
  assert.deepEqual(await reader.ids(), [])
  await hintArrives(hints, publisher, 'a')
  assert.deepEqual(await reader.ids(), ['a'])
})

test('with notify: false nobody listens or notifies, and a bus finds the events of another by polling (Q10)', async () => {
  await using database = await freshDatabase(server)
  const numbers = topic<number>('numbers')
  const engine = () => postgres({ url: database.url, notify: false })
  await using one = await openBus({ engine: engine(), topics: [numbers] })
  await using other = await openBus({ engine: engine(), topics: [numbers] })
  const handled: number[] = []
  other.consume(numbers, { group: 'sum' }, (event) => {
    handled.push(event.data)
  })
  await one.publishMany([1, 2, 3].map((n) => numbers.event(n)))
  await until('they are handled', () => handled.length === 3)
  assert.deepEqual(await listenersOf(database), [])
  const notified = await queryOnce(
    server.url,
    `select 1 from pg_stat_activity where datname = $1 and query like '%pg_notify%'`,
    [database.name],
  )
  assert.deepEqual(notified, [])
})

test('a bus works through PgBouncer in transaction mode, also where NOTIFY was left on (Q9)', async () => {
  await using pooler = await startPgBouncer(server, { mode: 'transaction', poolSize: 4 })
  for (const notify of [true, false]) {
    await using schema = freshSchema(server)
    const numbers = topic<number>('numbers', { partitions: 1, key: () => 'all' })
    const totals = topic<number>('totals', { partitions: 1 })
    const engine = () => postgres({ url: pooler.url, schema: schema.name, notify })
    await using one = await openBus({ engine: engine(), topics: [numbers, totals] })
    await using other = await openBus({ engine: engine(), topics: [numbers, totals] })
    await queryOnce(server.url, `create table ${schema.name}.seen (n int)`)
    const final = Promise.withResolvers<number>()
    other.consume(numbers, { group: 'sum' }, async (event, tx) => {
      const state = tx.state<number>('sum')
      const sum = ((await state.get()) ?? 0) + event.data
      await state.set(sum)
      await tx.query(`insert into ${schema.name}.seen values ($1)`, [event.data])
      tx.emit(totals, sum)
    })
    one.consume(totals, { group: 'last' }, (event) => {
      if (event.data === 5050) final.resolve(event.data)
    })
    for (let n = 1; n <= 100; n += 10)
      await one.publishMany(Array.from({ length: 10 }, (_, i) => numbers.event(n + i)))
    assert.equal(await final.promise, 5050)
    const rows = await queryOnce(
      server.url,
      `select count(*)::int as n, sum(n)::int as sum from ${schema.name}.seen`,
    )
    assert.deepEqual(rows, [{ n: 100, sum: 5050 }])
  }
})

test('notify that is neither true nor false is refused', async () => {
  const engines = new Engines(server)
  // @ts-expect-error
  await refuses('INVALID_OPTION', async () => engines.unopened({ notify: 'no' }))
})
