import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { migrationTexts } from '../../src/engines/postgres/migrate.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { record, records, refuses } from '../../src/testing/conformance/records.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'
import { migratedSchema } from './schema-text.ts'

const server = await sharedPostgres(18)
const snapshot = join(import.meta.dirname, '../../docs/internals/postgres-schema.sql')

for (const version of [16, 18] as const) {
  test(`the migrations lead to the snapshot in docs/internals on PostgreSQL ${version} (node scripts/postgres-schema.ts)`, async () => {
    await using database = await freshDatabase(await sharedPostgres(version))
    assert.equal(await migratedSchema(database.url), readFileSync(snapshot, 'utf8'))
  })
}

test('migrations run by one process at a time: many that open at once find one log', async () => {
  await using engines = new Engines(server)
  const opened = await Promise.all(Array.from({ length: 8 }, () => engines.open()))
  assert.equal(new Set(opened.map(({ engine }) => engine.logId)).size, 1)
  await Promise.all(opened.map((one) => one.declare()))
  await Promise.all(opened.map((one) => one.publish([record(one.member)])))
  assert.equal((await opened[0]!.ids()).length, opened.length)
})

test('a schema of any older version is brought up to date, and nothing in it is lost (Q11)', async () => {
  const versions = migrationTexts('semel').length
  for (let version = 1; version < versions; version++) {
    await using engines = new Engines(server)
    const { name } = engines.schema
    const sql = [
      `create schema ${name}`,
      ...migrationTexts(name).slice(0, version),
      `insert into ${name}.meta values ('version', '${version}'), ('log_id', 'an-old-log'), ('hash_seed', '7')`,
      `insert into ${name}.topic (name, dedup_window_ms) values ('orders', 600000)`,
      `insert into ${name}.partition (topic_id, partition) values (1, 0)`,
    ]
    await queryOnce(server.url, sql.join(';\n'))
    await using source = new Engines(server)
    const old = await source.open()
    await old.declare({ dedupWindowMs: 600_000 })
    await old.publish(records(3))
    await queryOnce(server.url, `insert into ${name}.batch select * from ${source.schema.name}.batch`)
    const one = await engines.open()
    assert.equal(one.engine.logId, 'an-old-log')
    assert.deepEqual(await one.ids(), ['e0', 'e1', 'e2'])
    await one.declare({ dedupWindowMs: 600_000 })
    assert.deepEqual((await one.publish([record('e1'), record('new')])).duplicates, [0])
    await (await engines.open()).engine.status()
  }
})

test('a schema of a newer version is refused by name and left as it is (Q11)', async () => {
  await using engines = new Engines(server)
  await engines.open()
  const { name } = engines.schema
  await queryOnce(server.url, `update ${name}.meta set value = '999' where name = 'version'`)
  const error = await refuses('STORAGE_FORMAT', () => engines.unopened().open())
  assert.deepEqual([error.actual, error.limit], [999, migrationTexts(name).length])
  const rows = await queryOnce(server.url, `select value from ${name}.meta where name = 'version'`)
  assert.deepEqual(rows, [{ value: '999' }])
})

test('a schema whose identity is gone is refused, not given a new one (D6)', async () => {
  await using engines = new Engines(server)
  await engines.open()
  await queryOnce(server.url, `delete from ${engines.schema.name}.meta where name = 'log_id'`)
  await refuses('STORAGE_CORRUPT', () => engines.unopened().open())
})

async function useEverything(one: Instance): Promise<void> {
  await one.declare()
  await one.publish(records(3))
  assert.deepEqual((await one.publish([record('e1'), record('e3')])).offsets, [1, 3])
  assert.equal(await one.engine.offsetAt('orders', 0, 0), 0)
  const lease = await one.lease()
  await one.commit(lease, undefined, 1, { state: [{ store: 's', keys: ['k'], values: ['v'] }] })
  assert.deepEqual(await one.state(lease.task, 's'), { k: 'v' })
  const open = await one.engine.begin(lease, new AbortController().signal)
  await open.commit(one.unit(lease, 1, 2))
  assert.equal((await one.engine.status()).groups[0]!.position, 2)
}

const uglyNames = [
  `we"ird 'na;me`,
  'a$$b$body$c',
  'SELECT',
  'ünïcode 日本 🙂',
  'semel.semel.x',
  `'; drop schema public cascade; --`,
  'with\nnew line',
  'ä'.repeat(31),
]
for (const name of uglyNames) {
  test(`any schema name works, such as ${JSON.stringify(name)}`, async () => {
    await using database = await freshDatabase(server)
    await using engines = new Engines(database)
    await useEverything(await engines.open({ schema: name }))
    const schemas = await queryOnce(database.url, 'select 1 from pg_namespace where nspname = $1', [name])
    assert.equal(schemas.length, 1)
    const quoted = `"${name.replaceAll('"', '""')}"`
    await queryOnce(database.url, `select ${quoted}.publish('orders', 'k', 'order.placed', '1')`)
  })
}

test('a hostile search_path and operators of that path redirect nothing (Q11)', async () => {
  await using database = await freshDatabase(server)
  await queryOnce(
    database.url,
    `create schema evil;
     create table evil.trap (what text);
     create function evil.steal(text) returns text language plpgsql as
       $$ begin insert into evil.trap values ($1); return $1; end $$;
     create function evil.equal(text, text) returns boolean language plpgsql as
       $$ begin insert into evil.trap values ('='); return false; end $$;
     create operator evil.= (leftarg = text, rightarg = text, function = evil.equal);
     create function evil.equal(bigint, bigint) returns boolean language plpgsql as
       $$ begin insert into evil.trap values ('='); return false; end $$;
     create operator evil.= (leftarg = bigint, rightarg = bigint, function = evil.equal);
     create function evil.now() returns timestamptz language plpgsql as
       $$ begin insert into evil.trap values ('now'); return 'epoch'; end $$;
     create function evil.current_setting(text) returns text language plpgsql as
       $$ begin insert into evil.trap values ('current_setting'); return 'off'; end $$;
     create function evil.hashtextextended(text, bigint) returns bigint language plpgsql as
       $$ begin insert into evil.trap values ('hashtextextended'); return 1; end $$;
     create function evil.pg_advisory_xact_lock(bigint) returns void language plpgsql as
       $$ begin insert into evil.trap values ('lock'); end $$;
     do $$ begin execute format('alter database %I set search_path = evil, pg_catalog, public', current_database()); end $$`,
  )
  await using engines = new Engines(database)
  await useEverything(await engines.open())
  await useEverything(await engines.open({ schema: 'evil_too' }))
  assert.deepEqual(await queryOnce(database.url, 'select * from evil.trap'), [])
})
