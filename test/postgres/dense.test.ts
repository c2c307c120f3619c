import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { isSemelError } from '../../src/errors.ts'
import type { StoredEvent } from '../../src/event/event.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { batchOf, record } from '../../src/testing/conformance/records.ts'
import { startPostgres } from '../rig/postgres/server.ts'
import { until } from '../rig/postgres/until.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await startPostgres({ settings: { max_prepared_transactions: 4 } })
after(() => server.stop())

const partitions = 2
const killsMax = 8

/** Every commit waits under its locks, now and then for long, and one in twelve is rolled back at its end. */
async function makeCommitsSlow(schema: string): Promise<void> {
  await server.query(`create function ${schema}.slow() returns trigger language plpgsql as $$ begin
    perform pg_sleep(case when random() < 0.03 then 1 + random() else random() * 0.03 end);
    if random() < 0.08 then raise exception 'rolled back on purpose'; end if;
    return null; end $$`)
  await server.query(`create constraint trigger slow after insert on ${schema}.batch
    deferrable initially deferred for each row execute function ${schema}.slow()`)
}

interface Writer {
  readonly one: Instance
  readonly partition: number
  readonly acknowledged: string[]
  readonly failed: { rolledBack: number; unknown: number }
}

/** One event after the other, each tried by its id until it is acknowledged: so they are in order, each once. */
async function writeUntil(
  { one, partition, acknowledged, failed }: Writer,
  done: () => boolean,
): Promise<void> {
  let failuresSeen = 0
  for (let n = 0; !done(); n++) {
    const id = `${one.member}/${n}`
    const batches = [batchOf([record(id, { n }, { key: one.member })], { partition })]
    for (let isIn = false; !isIn; ) {
      try {
        await one.engine.append({ calls: 1, batches, failuresSeen }, { durability: 'fsync' })
        isIn = true
      } catch (error) {
        assert.ok(isSemelError(error), String(error))
        failuresSeen++
        if (error.outcome === 'unknown') failed.unknown++
        else failed.rolledBack++
      }
    }
    acknowledged.push(id)
  }
}

/** Reads on from where it is, as a consumer does. What it passed over it will never see. */
async function follow(
  one: Instance,
  partition: number,
  done: () => boolean,
): Promise<readonly StoredEvent[]> {
  const seen: StoredEvent[] = []
  for (let isLast = false; !isLast; ) {
    isLast = done()
    seen.push(...(await one.readAll('orders', partition, seen.length)))
  }
  return seen
}

/** Ends backends that are in the middle of a commit, spread over the run. */
async function killWriters(watcher: Instance, done: () => boolean): Promise<number> {
  let kills = 0
  for (let next = 10; !done() && kills < killsMax; ) {
    const { topics } = await watcher.engine.status()
    const count = topics[0]!.partitions.reduce((sum, { end }) => sum + end, 0)
    if (count < next) continue
    const rows = await server.query<{ done: boolean }>(
      `select pg_terminate_backend(pid) as done from pg_stat_activity
         where application_name = 'semel' and wait_event = 'PgSleep' limit 1`,
    )
    if (rows.length === 0) continue
    kills++
    next = count + 15
  }
  return kills
}

/** What a reader that waits for old transactions would wait for. */
async function openBlockers(): Promise<AsyncDisposable> {
  await server.query('create database elsewhere')
  await server.query('create table orphan (id int)')
  const elsewhere = await openClient(server.urlOf('elsewhere'))
  await elsewhere.query('begin; create table long_one (id int)')
  const prepared = await openClient(server.url)
  await prepared.query("begin; insert into orphan values (1); prepare transaction 'orphan'")
  const snapshot = await openClient(server.url)
  await snapshot.query(
    'begin isolation level repeatable read; select pg_current_xact_id(), count(*) from orphan',
  )
  return {
    [Symbol.asyncDispose]: async () => {
      await server.query("rollback prepared 'orphan'")
      for (const client of [elsewhere, prepared, snapshot]) await client.end()
    },
  }
}

test('offsets are dense and in commit order, and no reader can skip one: slow commits, rollbacks, killed backends, transactions that stay open (Q4, Q5, P1)', async () => {
  await using engines = new Engines(server)
  const first = await engines.open()
  await first.declare({ partitions })
  await makeCommitsSlow(engines.schema.name)
  await using _ = await openBlockers()
  const writers: Writer[] = []
  for (let n = 0; n < 6; n++) {
    const one = await engines.open()
    writers.push({ one, partition: n % partitions, acknowledged: [], failed: { rolledBack: 0, unknown: 0 } })
  }
  let stop = false
  let written = false
  const writing = Promise.all(writers.map((writer) => writeUntil(writer, () => stop)))
  const readers = await Promise.all(Array.from({ length: partitions }, () => engines.open()))
  const following = Promise.all(readers.map((one, partition) => follow(one, partition, () => written)))
  const killing = killWriters(first, () => stop)
  await until('enough was written', () => writers.every(({ acknowledged }) => acknowledged.length >= 25), {
    deadlineMs: 60_000,
  })
  stop = true
  await writing
  written = true
  const [seen, kills] = [await following, await killing]

  assert.ok(kills >= 3, `${kills} backends were killed`)
  const failed = writers.reduce((sum, writer) => sum + writer.failed.rolledBack, 0)
  assert.ok(failed >= 5, `${failed} commits were rolled back`)
  for (const [partition, events] of seen.entries()) {
    assert.deepEqual(
      events.map(({ offset }) => offset),
      events.map((__, index) => index),
      'dense, each seen once',
    )
    const final = await first.readAll('orders', partition)
    assert.deepEqual(
      events.map(({ id }) => id),
      final.map(({ id }) => id),
      'who read along saw everything',
    )
    const times = final.map(({ appendTime }) => appendTime)
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
      'in the order of the commits',
    )
    for (const { one, acknowledged } of writers.filter((writer) => writer.partition === partition)) {
      const own = final.filter(({ key }) => key === one.member).map(({ id }) => id)
      assert.deepEqual(own, acknowledged, 'each key in order, nothing lost, nothing doubled')
    }
  }
})

test('an event can be read as soon as it is acknowledged, whatever transactions are open (Q5, V1)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  const other = await engines.open()
  await one.declare()
  await using open = await openClient(server.url)
  await open.query('begin isolation level repeatable read; create table kept_open (id int)')
  for (let n = 0; n < 10; n++) {
    await one.publish([record(`e${n}`)])
    assert.equal((await other.readAll('orders', 0, n)).length, 1)
  }
  const { storage } = await one.engine.status()
  assert.ok(Number(storage.oldestTransactionMs) > 0, 'the status tells of it')
  await open.query("prepare transaction 'forgotten'")
  try {
    await one.publish([record('e10')])
    assert.equal((await other.readAll('orders', 0, 10)).length, 1)
    const { preparedTransactions } = (await one.engine.status()).storage
    assert.ok(Number(preparedTransactions) >= 1, 'the status tells of what nobody ended')
  } finally {
    await open.query("rollback prepared 'forgotten'")
  }
})
