import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, test } from 'node:test'
import type { Lease } from '../../src/engine/engine.ts'
import { isSemelError, type SemelError } from '../../src/errors.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { batchOf, record, records, refuses } from '../../src/testing/conformance/records.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { type PostgresAddress, queryOnce, startPostgres } from '../rig/postgres/server.ts'
import { until } from '../rig/postgres/until.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

// What these tests set holds for a whole server, so it is one of their own.
const server = await startPostgres({ settings: { deadlock_timeout: '50ms' } })
after(() => server.stop())
const never = new AbortController().signal

async function errorOf(work: Promise<unknown>): Promise<SemelError> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (cause: unknown) => cause,
  )
  if (!isSemelError(error)) throw error
  return error
}

/** A group at offset 1 with a table of the user's own. */
async function withAccounts(one: Instance, engines: Engines): Promise<{ lease: Lease; table: string }> {
  await one.declare()
  await one.publish(records(9))
  const lease = await one.lease()
  const table = `"${engines.schema.name}".accounts`
  const open = await one.engine.begin(lease, never)
  await open.query(`create table ${table} (id text primary key, n int)`, [])
  await open.query(`insert into ${table} values ('a', 0), ('b', 0)`, [])
  await open.commit(one.unit(lease, undefined, 1))
  return { lease, table }
}

const endingSessions: readonly (readonly [name: string, end: (pid: number) => Promise<unknown>])[] = [
  ['its backend is terminated', (pid) => server.query('select pg_terminate_backend($1)', [pid])],
  ['its backend is killed', (pid) => server.killBackend(pid)],
]
for (const [name, end] of endingSessions) {
  test(`a user transaction does not happen when ${name}, and may be done again (Q3)`, async () => {
    await using engines = new Engines(server)
    const one = await engines.open()
    const { lease, table } = await withAccounts(one, engines)
    const open = await one.engine.begin(lease, never)
    await open.query(`update ${table} set n = 1`, [])
    const [row] = await open.query('select pg_backend_pid() as pid', [])
    await end(Number(row!.pid))
    const error = await errorOf(open.commit(one.unit(lease, 1, 2)))
    assert.deepEqual([error.outcome, error.retryable], ['not-applied', true])
    const again = await one.engine.begin(lease, never)
    const rows = await again.query(`update ${table} set n = n + 1 returning n`, [])
    assert.deepEqual(rows, [{ n: 1 }, { n: 1 }])
    await again.commit(one.unit(lease, 1, 2))
    assert.equal((await one.engine.load(lease)).position, 2)
  })
}

test('a user transaction that idles too long is ended by the server and does not happen (Q3)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  const { lease, table } = await withAccounts(one, engines)
  const open = await one.engine.begin(lease, never)
  await open.query(`update ${table} set n = 1`, [])
  const [row] = await open.query('select pg_backend_pid() as pid', [])
  await open.query("set local idle_in_transaction_session_timeout = '20ms'", [])
  const isGone = async () =>
    (await server.query('select 1 from pg_stat_activity where pid = $1', [row!.pid])).length === 0
  await until('the server has ended it', isGone)
  const error = await errorOf(open.commit(one.unit(lease, 1, 2)))
  assert.deepEqual([error.outcome, error.retryable], ['not-applied', true])
  assert.equal((await one.engine.load(lease)).position, 1)
})

test('of two user transactions that deadlock one fails, retryable, and nothing of it happens (Q3)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  const { lease, table } = await withAccounts(one, engines)
  const [left, right] = [await one.engine.begin(lease, never), await one.engine.begin(lease, never)]
  const lock = `update ${table} set n = n + 1 where id = $1`
  await left.query(lock, ['a'])
  await right.query(lock, ['b'])
  const crossed = [left.query(lock, ['b']), right.query(lock, ['a'])] as const
  const failed = await Promise.race(
    crossed.map((work, i) =>
      work.then(
        () => never,
        () => i,
      ),
    ),
  )
  const error = await errorOf(crossed[failed === 0 ? 0 : 1])
  assert.deepEqual([error.code, error.outcome, error.retryable], ['QUERY_FAILED', 'not-applied', true])
  assert.match(error.message, /40P01/)
  const [loser, winner] = failed === 0 ? [left, right] : [right, left]
  await loser.rollback()
  await crossed[failed === 0 ? 1 : 0]
  await winner.commit(one.unit(lease, 1, 2))
  const rows = await server.query(`select n from ${table} order by id`)
  assert.deepEqual(rows, [{ n: 1 }, { n: 1 }])
})

for (const sqlState of ['40001', '40P01', '55P03']) {
  test(`a write that the server rolls back with ${sqlState} is done again by itself, once (Q3)`, async () => {
    await using engines = new Engines(server)
    const one = await engines.open()
    await one.declare()
    const { name } = engines.schema
    await server.query(`create sequence ${name}.attempts`)
    await server.query(`create function ${name}.fail() returns trigger language plpgsql as $$ begin
      if nextval('${name}.attempts') <= 3 then raise exception 'on purpose' using errcode = '${sqlState}'; end if;
      return new; end $$`)
    await server.query(
      `create trigger fail before insert on ${name}.batch for each row execute function ${name}.fail()`,
    )
    assert.deepEqual(await one.publish(records(2)), { offsets: [0, 1], duplicates: [] })
    assert.deepEqual(await one.ids(), ['e0', 'e1'])
    await server.query(`alter sequence ${name}.attempts restart`)
    const lease = await one.lease()
    await one.commit(lease, undefined, 1, {
      appends: [
        { topic: 'orders', partition: 0, records: [record('emitted')], callOf: undefined, fresh: false },
      ],
    })
    assert.deepEqual(await one.ids(), ['e0', 'e1', 'emitted'])
    const [attempts] = await server.query<{ n: string }>(`select last_value as n from ${name}.attempts`)
    assert.equal(Number(attempts!.n), 4)
  })
}

for (const setting of ['statement_timeout', 'lock_timeout']) {
  test(`a publish that a lock keeps longer than ${setting} did not happen, and works once the lock is gone (Q3)`, async () => {
    await using database = await freshDatabase(server)
    await using engines = new Engines(database)
    await (await engines.open()).declare()
    await queryOnce(database.url, `alter database ${database.name} set ${setting} = '250ms'`)
    const one = await engines.open()
    await using blocker = await openClient(database.url)
    await blocker.query('begin')
    await blocker.query(`select * from ${engines.schema.name}.topic for update`)
    const error = await errorOf(one.publish(records(2)))
    assert.deepEqual(
      [error.code, error.outcome, error.retryable],
      ['ENGINE_UNAVAILABLE', 'not-applied', true],
    )
    await blocker.query('commit')
    assert.deepEqual(await one.ids(), [])
    const group = { calls: 1, batches: [batchOf(records(2))], failuresSeen: 1 }
    assert.equal((await one.append(group)).batches[0]!.duplicates, undefined)
    assert.deepEqual(await one.ids(), ['e0', 'e1'])
  })
}

/** Sets something for the whole server, and puts it back afterwards. */
async function withSetting(name: string, value: string, work: () => Promise<void>): Promise<void> {
  const admin = await openClient(server.url)
  await admin.query('set default_transaction_read_only = off')
  const shown = async () =>
    (await server.query<{ v: string }>('select current_setting($1) as v', [name]))[0]!.v
  const before = await shown()
  const turn = async (sql: string, wanted: string) => {
    await admin.query(sql)
    await admin.query('select pg_reload_conf()')
    await until(`${name} is ${wanted}`, async () => (await shown()) === wanted)
  }
  await turn(`alter system set ${name} = '${value}'`, value)
  try {
    await work()
  } finally {
    await turn(`alter system reset ${name}`, before)
    await admin.end()
  }
}

test('an isolation level at which offsets could not be dense is refused by name, at start and later (D7, P1)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  const { lease } = await withAccounts(one, engines)
  await withSetting('default_transaction_isolation', 'repeatable read', async () => {
    const error = await refuses('UNSAFE_SETTING', () => engines.unopened().open())
    assert.equal(error.field, 'default_transaction_isolation')
    // A session that was there before hears of the new default some time before its next statement.
    const isRefused = async () => codeOf(await errorOrNone(one.publish([record('x')]))) === 'UNSAFE_SETTING'
    await until('it is refused', isRefused)
    const unit = await errorOf(one.commit(lease, 1, 2))
    assert.deepEqual([unit.code, unit.outcome], ['UNSAFE_SETTING', 'not-applied'])
    const inside = await one.engine.begin(lease, never)
    await inside.query('select 1', [])
    await inside.commit(one.unit(lease, 1, 2))
  })
  assert.equal((await one.engine.load(lease)).position, 2)
})

async function roleWithLimit(database: PostgresAddress, connections: number) {
  const name = `limited_${process.pid}_${connections}`
  await queryOnce(database.url, `create role ${name} superuser login connection limit ${connections}`)
  // A superuser is not limited.
  await queryOnce(database.url, `alter role ${name} nosuperuser`)
  const url = new URL(database.url)
  url.username = name
  return { name, url: url.href }
}

test('too many connections: refused in time and by name, or waited for (Q3)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const role = await roleWithLimit(database, 2)
  await queryOnce(database.url, `grant create on database ${database.name} to ${role.name}`)
  const one = await engines.open({ url: role.url })
  await one.declare()
  await one.publish(records(3))
  const reads = await Promise.all(Array.from({ length: 20 }, () => one.ids()))
  assert.ok(reads.every((ids) => ids.length === 3))
  await queryOnce(database.url, `alter role ${role.name} connection limit 0`)
  const error = await errorOf(engines.unopened({ url: role.url, reconnectMs: 200 }).open())
  assert.deepEqual([error.code, error.retryable], ['ENGINE_UNAVAILABLE', true])
  assert.match(error.message, /too many connections/)
  const waiting = engines.open({ url: role.url })
  await until('it was refused', () => server.log.split('too many connections').length > 2)
  await queryOnce(database.url, `alter role ${role.name} connection limit 9`)
  assert.equal((await (await waiting).ids()).length, 3)
})

test('a server that turns read-only: refused by name, reading goes on, and writing works again after (Q8)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  await one.publish([record('before')])
  const lease = await one.lease()
  await withSetting('default_transaction_read_only', 'on', async () => {
    const error = await errorOf(one.publish([record('during')]))
    assert.deepEqual([error.code, error.outcome, error.retryable], ['STORAGE_READ_ONLY', 'not-applied', true])
    assert.deepEqual(await one.ids(), ['before'])
    const unit = await errorOf(one.commit(lease, undefined, 1))
    assert.deepEqual([unit.code, unit.outcome, unit.retryable], ['STORAGE_READ_ONLY', 'not-applied', true])
    await refuses('STORAGE_READ_ONLY', () => engines.unopened({ reconnectMs: 100 }).open())
  })
  await one.commit(lease, undefined, 1)
  await one.append({ calls: 1, batches: [batchOf([record('after')])], failuresSeen: 1 })
  assert.deepEqual(await one.ids(), ['before', 'after'])
})

function codeOf(error: unknown): string | undefined {
  return isSemelError(error) ? error.code : undefined
}

async function errorOrNone(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

test('clocks a day apart: leases, dedup windows and append times go by the server (Q12, F6)', async () => {
  const dayMs = 86_400_000
  await using engines = new Engines(server)
  const ahead = await engines.open({}, dayMs)
  const behind = await engines.open({}, -dayMs)
  await ahead.declare({ dedupWindowMs: 60_000 })
  await ahead.publish([record('a')])
  assert.deepEqual((await behind.publish([record('a'), record('b')])).duplicates, [0])
  assert.deepEqual((await ahead.publish([record('b')])).duplicates, [0])
  const stored = await behind.readAll()
  const serverMs = Number(
    (await server.query<{ ms: string }>('select extract(epoch from now()) * 1000 as ms'))[0]!.ms,
  )
  for (const { appendTime } of stored) assert.ok(Math.abs(appendTime - serverMs) < 60_000)
  const lease = await behind.lease()
  const rival = await ahead.join('billing', { orders: 1 })
  await ahead.engine.status()
  assert.equal(rival.held.size, 0, 'a member with a clock a day ahead does not take a live lease')
  await behind.commit(lease, undefined, 1)
  assert.equal((await ahead.engine.load(lease)).position, 1)
  await behind.engine.close()
  await rival.holds(1)
})

test('a server whose greeting and end come in one piece does not end the program', async () => {
  const message = (type: string, body: string) => {
    const head = Buffer.from(`${type}0000`)
    head.writeInt32BE(4 + Buffer.byteLength(body), 1)
    return Buffer.concat([head, Buffer.from(body)])
  }
  const fatal = message(
    'E',
    'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0',
  )
  const greeting = [message('R', '\0\0\0\0'), message('Z', 'I'), fatal]
  const shortLived = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(Buffer.concat(greeting)))
  })
  await once(shortLived.listen(0, '127.0.0.1'), 'listening')
  const { port } = shortLived.address() as AddressInfo
  const uncaught: unknown[] = []
  const hear = (error: unknown) => uncaught.push(error)
  process.on('uncaughtException', hear)
  const one = new Engines(server).unopened({
    url: `postgres://somebody@127.0.0.1:${port}/db`,
    reconnectMs: 200,
  })
  await refuses('ENGINE_UNAVAILABLE', () => one.open())
  process.off('uncaughtException', hear)
  shortLived.close()
  assert.deepEqual(uncaught, [])
})
