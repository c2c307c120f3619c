import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { postgresLimits } from '../../src/engines/postgres/postgres-limits.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { record, records, refuses } from '../../src/testing/conformance/records.ts'
import { type FreshDatabase, freshDatabase } from '../rig/postgres/fresh.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'

const server = await sharedPostgres(18)
const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/run-on-postgres.md'), 'utf8')
const documented = /```sql\n([^`]*)```/.exec(page)![1]!
let made = 0

/** A role that may log in and nothing else, in a database of its own. */
async function strangerIn(
  database: FreshDatabase,
): Promise<{ name: string; url: string; drop(): Promise<void> }> {
  const name = `app_${process.pid}_${++made}`
  await queryOnce(database.url, `create role ${name} login`)
  const url = new URL(database.url)
  url.username = name
  const drop = async () => {
    await database.drop()
    await queryOnce(server.url, `drop role ${name}`)
  }
  return { name, url: url.href, drop }
}

async function useEverything(one: Instance): Promise<void> {
  await one.declare()
  await one.publish(records(3))
  assert.deepEqual((await one.publish(records(3))).duplicates, [0, 1, 2])
  const lease = await one.lease()
  await one.commit(lease, undefined, 1, { state: [{ store: 's', keys: ['k'], values: ['v'] }] })
  await one.commit(lease, 1, 2, { state: [{ store: 's', keys: ['k'], values: [undefined] }] })
  const keys = Array.from({ length: postgresLimits.stateLogKeysMin }, (_, index) => `k${index}`)
  await one.commit(lease, 2, 2, { state: [{ store: 's', keys, values: keys }] })
  await one.commit(lease, 2, 2, { state: [{ store: 's', keys: ['k'], values: ['v'] }] })
  assert.equal(Object.keys(await one.state(lease.task, 's')).length, keys.length + 1)
  const open = await one.engine.begin(lease, new AbortController().signal)
  await open.commit(one.unit(lease, 2, 3))
  assert.equal((await one.engine.load(lease)).position, 3)
  assert.equal((await one.engine.status()).topics.length, 1)
}

test('the documented rights are enough, and do not let an event be changed or deleted', async () => {
  const database = await freshDatabase(server)
  const stranger = await strangerIn(database)
  try {
    await using engines = new Engines(database)
    await engines.open()
    const grants = documented
      .replaceAll(/\bsemel\./g, `${engines.schema.name}.`)
      .replaceAll('schema semel', `schema ${engines.schema.name}`)
      .replaceAll('to app', `to ${stranger.name}`)
    await queryOnce(database.url, grants)
    await useEverything(await engines.open({ url: stranger.url }))
    const { name } = engines.schema
    await queryOnce(stranger.url, `select ${name}.publish('orders', 'k', 'order.placed', '1')`)
    const taken = await queryOnce(stranger.url, `select key from ${name}.outbox_take(10, 1000, 0, '')`)
    assert.deepEqual(taken, [{ key: 'k' }])
    for (const statement of [
      `delete from ${name}.batch`,
      `update ${name}.batch set body = '[]'`,
      `truncate ${name}.batch`,
      `update ${name}.meta set value = 'x'`,
      `update ${name}.progress set position = 0`,
      `drop table ${name}.task`,
      `create table ${name}.mine (id int)`,
    ]) {
      await assert.rejects(queryOnce(stranger.url, statement), { code: '42501' }, statement)
    }
  } finally {
    await stranger.drop()
  }
})

test('a role without rights is refused by name, at start and later (Q11)', async () => {
  const database = await freshDatabase(server)
  const stranger = await strangerIn(database)
  try {
    await using engines = new Engines(database)
    const error = await refuses('ENGINE_OPEN_FAILED', () => engines.unopened({ url: stranger.url }).open())
    assert.match(error.hint ?? '', /run-on-postgres/)
    const owner = await engines.open()
    await owner.declare()
    const { name } = engines.schema
    await queryOnce(database.url, `grant usage on schema ${name} to ${stranger.name}`)
    await queryOnce(database.url, `grant select on all tables in schema ${name} to ${stranger.name}`)
    const reader = await engines.open({ url: stranger.url })
    await owner.publish([record('a')])
    assert.deepEqual(await reader.ids(), ['a'])
    const refused = await refuses('ENGINE_FAILED', () => reader.publish([record('b')]))
    assert.deepEqual([refused.outcome, refused.retryable], ['not-applied', false])
    assert.match(`${refused.message} ${refused.hint}`, /42501.*run-on-postgres/)
    assert.deepEqual(await owner.ids(), ['a'])
  } finally {
    await stranger.drop()
  }
})
