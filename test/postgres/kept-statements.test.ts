import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Row, SqlStatement, StatementAnswer, UnitTransaction } from '../../src/engine/engine.ts'
import { hasCode } from '../../src/index.ts'
import { records } from '../../src/testing/conformance/records.ts'
import { startPgBouncer } from '../rig/postgres/pgbouncer.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'

const server = await sharedPostgres(18)
const never = new AbortController().signal
/** More than there are names. */
const manyTexts = 50

async function ahead(
  open: UnitTransaction,
  statements: readonly SqlStatement[],
): Promise<readonly StatementAnswer[]> {
  return await open.queryAhead!(statements)
}

/** A bus whose transactions we begin. */
async function openOne(engines: Engines, url = server.url): Promise<{ begin(): Promise<UnitTransaction> }> {
  const one = await engines.open({ url })
  await one.declare()
  await one.publish(records(3))
  const lease = await one.lease()
  return { begin: () => one.engine.begin(lease, never) }
}

async function keptTexts(open: UnitTransaction): Promise<readonly Row[]> {
  return await open.query(
    "select statement from pg_prepared_statements where name like 'semel%' and statement not like '%savepoint%'",
    [],
  )
}

test('a text that comes again is parsed once in a transaction; each statement has its own values and rows', async () => {
  await using engines = new Engines(server)
  const open = await (await openOne(engines)).begin()
  const text = 'select $1::integer as n, $2::text as t where $1::integer > 0'
  const statements = [1, 2, 0, 3].map((n) => ({ text, params: [n, `t${n}`] }))
  const rows = [[{ n: 1, t: 't1' }], [{ n: 2, t: 't2' }], [], [{ n: 3, t: 't3' }]]
  assert.deepEqual(await ahead(open, statements), rows)
  const other = { text: 'select $1::jsonb as j', params: ['{"a":1}'] }
  assert.deepEqual(await ahead(open, [other, ...statements]), [[{ j: { a: 1 } }], ...rows])
  assert.deepEqual(await keptTexts(open), [{ statement: text }, { statement: other.text }])
  await open.rollback()
})

test('more texts than names, a failure among them, and the same connection again', async () => {
  await using engines = new Engines(server)
  const one = await openOne(engines)
  for (let round = 0; round < 3; round++) {
    const open = await one.begin()
    const statements = Array.from({ length: manyTexts }, (_, n) => ({
      text: `select $1::integer + ${n + round} as n`,
      params: [1],
    }))
    const expected = statements.map((_, n) => [{ n: 1 + n + round }])
    assert.deepEqual(await ahead(open, statements), expected)
    const wrong = { text: 'select 1 / $1::integer', params: [0] }
    const answers = await ahead(open, [statements[0]!, wrong, statements[1]!])
    assert.deepEqual(answers[0], expected[0])
    assert.ok(hasCode(answers[1], 'QUERY_FAILED'))
    assert.equal(answers[2], undefined, 'behind a failure nothing runs')
    await open.restore(1)
    assert.deepEqual(await ahead(open, statements), expected)
    await open.rollback()
  }
})

test('a text whose first use is behind a failure is not taken for kept: the server never saw it', async () => {
  await using engines = new Engines(server)
  const open = await (await openOne(engines)).begin()
  const wrong = { text: 'select 1 / $1::integer', params: [0] }
  const unseen = { text: 'select $1::integer as unseen', params: [1] }
  const [failed, skipped] = await ahead(open, [wrong, unseen])
  assert.ok(hasCode(failed, 'QUERY_FAILED'))
  assert.equal(skipped, undefined)
  await open.restore(0)
  assert.deepEqual(await ahead(open, [unseen, unseen]), [[{ unseen: 1 }], [{ unseen: 1 }]])
  await open.rollback()
})

test('undoing from a place in the row keeps what is before it, however many marks there are', async () => {
  await using engines = new Engines(server)
  const one = await openOne(engines)
  const table = `"${engines.schema.name}".kept`
  const open = await one.begin()
  await open.query(`create table ${table} (n integer)`, [])
  const insert = (n: number) => ({ text: `insert into ${table} values ($1)`, params: [n] })
  const all = async () =>
    (await open.query(`select n from ${table} where n > $1 order by n`, [0])).map(({ n }) => n)
  await ahead(open, [1, 2, 3, 4, 5].map(insert))
  await open.restore(3)
  assert.deepEqual(await all(), [1, 2, 3])
  await open.restore(1)
  assert.deepEqual(await all(), [1])
  await ahead(open, [6, 7].map(insert))
  assert.deepEqual(await all(), [1, 6, 7])
  await open.restore(0)
  assert.deepEqual(await all(), [1])
  await open.rollback()
})

test('a table that a handler changes meanwhile is read as it is then', async () => {
  await using engines = new Engines(server)
  const open = await (await openOne(engines)).begin()
  const table = `"${engines.schema.name}".kept`
  await open.query(`create table ${table} (n integer); insert into ${table} values (1)`, [])
  const look = { text: `select * from ${table} where n = $1`, params: [1] }
  assert.deepEqual(await ahead(open, [look, look]), [[{ n: 1 }], [{ n: 1 }]])
  await open.query(`alter table ${table} add column t text default 'x'`, [])
  const seen = [{ n: 1, t: 'x' }]
  assert.deepEqual(await ahead(open, [look, look]), [seen, seen])
  await open.query('deallocate all', [])
  assert.deepEqual(await ahead(open, [look]), [seen])
  await open.rollback()
})

test('behind a pooler that gives each transaction another session, names of others are no harm (Q9)', async () => {
  await using pooler = await startPgBouncer(server, { mode: 'transaction', poolSize: 3 })
  await using engines = new Engines(server)
  const one = await openOne(engines, pooler.url)
  for (let round = 0; round < 8; round++) {
    const open = await Promise.all([one.begin(), one.begin()])
    const answers = open.map(async (transaction, n) => {
      const statements = [0, 1, 2].map((i) => ({ text: `select $1::integer as n${n + round}`, params: [i] }))
      assert.deepEqual(
        await ahead(transaction, statements),
        [0, 1, 2].map((i) => [{ [`n${n + round}`]: i }]),
      )
      await transaction.rollback()
    })
    await Promise.all(answers)
  }
})
