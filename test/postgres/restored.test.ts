import assert from 'node:assert/strict'
import { test } from 'node:test'
import { record, records, refuses } from '../../src/testing/conformance/records.ts'
import { type FreshDatabase, freshDatabase } from '../rig/postgres/fresh.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'

const server = await sharedPostgres(18)

/** A copy of the database as it is now, kept beside it; the answer puts it in the database's place. */
async function backup(database: FreshDatabase): Promise<() => Promise<void>> {
  const copy = `${database.name}_copy`
  await endSessions(database.name)
  await queryOnce(server.url, `create database ${copy} template ${database.name}`)
  return async () => {
    await queryOnce(server.url, `drop database ${database.name} with (force)`)
    await queryOnce(server.url, `alter database ${copy} rename to ${database.name}`)
  }
}

/** A database can be copied only while nobody is connected to it. */
async function endSessions(name: string): Promise<void> {
  await queryOnce(
    server.url,
    'select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1',
    [name],
  )
}

test('a database restored from an older copy: who saw more is told LOG_REGRESSED, and nothing is skipped (Q11, D6)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const first = await engines.open()
  await first.declare()
  await first.publish(records(3))
  await first.engine.close()
  const restore = await backup(database)
  const writer = await engines.open()
  const reader = await engines.open()
  await writer.publish(records(3, 'later'))
  assert.equal((await reader.ids()).length, 6)
  const lease = await writer.lease()
  await writer.commit(lease, undefined, 5)
  await restore()
  await refuses('LOG_REGRESSED', () => reader.readAll('orders', 0, 6))
  const refused = await writer.publish([record('new')]).catch((error: unknown) => error)
  assert.ok(refused instanceof Error)
  await refuses('LOG_REGRESSED', async () => {
    await writer.append({
      calls: 1,
      batches: [{ topic: 'orders', partition: 0, records: [record('new')], callOf: undefined, fresh: true }],
      failuresSeen: 9,
    })
  })
  const newcomer = await engines.open()
  assert.deepEqual(await newcomer.ids(), ['e0', 'e1', 'e2'])
})

test('a restored database that has grown again is not mistaken for the one before (Q11, D6)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const first = await engines.open()
  await first.declare()
  await first.publish(records(3))
  await first.engine.close()
  const restore = await backup(database)
  const writer = await engines.open()
  const reader = await engines.open()
  await writer.publish(records(3, 'later'))
  assert.equal((await reader.ids()).length, 6)
  await restore()
  await (await engines.open()).publish(records(9, 'other'))
  await refuses('LOG_REGRESSED', () => reader.readAll('orders', 0, 6))
  const group = {
    calls: 1,
    batches: [{ topic: 'orders', partition: 0, records: [record('new')], callOf: undefined, fresh: true }],
  }
  const error = await writer.append({ ...group, failuresSeen: 0 }).catch((cause: unknown) => cause)
  assert.ok(error instanceof Error)
  await refuses('LOG_REGRESSED', () => writer.append({ ...group, failuresSeen: 9 }))
})

test('a log that somebody truncated is told, by writers and readers alike (Q11, D6)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  const other = await engines.open()
  await one.declare()
  await one.publish(records(3))
  assert.equal((await other.ids()).length, 3)
  await queryOnce(server.url, `truncate ${engines.schema.name}.batch`)
  await refuses('LOG_REGRESSED', () => other.readAll('orders', 0, 3))
  await refuses('LOG_REGRESSED', () => one.publish([record('new')]))
})

test('a table that somebody dropped is said to be gone, and nothing is made anew (Q11)', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  await queryOnce(server.url, `drop table ${engines.schema.name}.batch`)
  const error = await refuses('ENGINE_FAILED', () => one.publish([record('a')]))
  assert.match(`${error.message} ${error.hint}`, /42P01.*gone/)
  await refuses('ENGINE_FAILED', async () => (await engines.open()).ids())
})
