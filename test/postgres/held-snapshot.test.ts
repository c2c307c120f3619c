import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgresLimits } from '../../src/engines/postgres/postgres-limits.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { record } from '../../src/testing/conformance/records.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await sharedPostgres(18)

/** Pages of 8 KiB that a look at one key or position may read: some tables, the way down each index, a few dead rows. */
const pagesReadMax = 40
const units = 400
const keys = Array.from({ length: 40 }, (_, index) => `customer-${index}`)

/**
 * Pages that a query reads, once the session has read what the catalogue says of its tables. It reads that anew
 * whenever autovacuum has looked at one of them, so that the least of some looks is what the tables themselves cost.
 */
async function pagesRead(url: string, query: string): Promise<number> {
  await using client = await openClient(url)
  const looks: number[] = []
  while (looks.length < 5) {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, buffers, timing off) ${query}`,
    )
    const line = rows.map((row) => row['QUERY PLAN']).find((text) => text.includes('Buffers: '))!
    looks.push([...line.matchAll(/(?:hit|read)=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0))
  }
  return Math.min(...looks)
}

/** Half of the keys are deleted now and then; the others only change. */
function isDeleted(unit: number, index: number): boolean {
  return index >= keys.length / 2 && (unit + index) % 50 === 0
}

async function workOn(one: Instance): Promise<void> {
  const lease = await one.lease()
  for (let n = 0; n < units; n++) {
    const values = keys.map((key, index) => (isDeleted(n, index) ? undefined : `{"key":"${key}","sum":${n}}`))
    await one.commit(lease, n === 0 ? undefined : n, n + 1, {
      state: [{ store: 'sums', keys, values }],
      appends: [
        { topic: 'orders', partition: 0, records: [record(`e${n}`)], callOf: undefined, fresh: true },
      ],
    })
  }
  const state = await one.state(lease.task, 'sums')
  for (const [index, key] of keys.entries()) {
    const isGone = isDeleted(units - 1, index)
    assert.equal(state[key], isGone ? undefined : `{"key":"${key}","sum":${units - 1}}`)
  }
}

test('under a snapshot that stays open, what is read of the hot tables does not grow with what is dead', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  await using holder = await openClient(database.url)
  await holder.query('begin isolation level repeatable read; select 1 from pg_class limit 1')
  await workOn(one)
  const { name } = engines.schema
  const dead = await pagesRead(database.url, `select count(*) from ${name}.state`)
  assert.ok(dead > 50, `the snapshot keeps dead rows: ${dead} pages`)
  const looks = [
    `select * from ${name}.read_state('billing', 'orders', 0, 'sums', array['customer-7'])`,
    `select * from ${name}.position('billing', 'orders', 0)`,
    `select * from ${name}.bounds('orders')`,
  ]
  const requireFewPages = async () => {
    for (const look of looks) {
      const pages = await pagesRead(database.url, look)
      assert.ok(pages <= pagesReadMax, `${pages} pages for ${look}`)
    }
  }
  await requireFewPages()
  await holder.query('analyze')
  await requireFewPages()
})

test('a value that was written long ago is found and replaced, once', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  const lease = await one.lease()
  const write = (from: number, value: string) =>
    one.commit(lease, from === 0 ? undefined : from, from + 1, {
      state: [{ store: 'sums', keys, values: keys.map(() => value) }],
      appends: [
        { topic: 'orders', partition: 0, records: [record(`e${from}`)], callOf: undefined, fresh: true },
      ],
    })
  await write(0, '1')
  await using client = await openClient(database.url)
  const table = `${engines.schema.name}.state`
  await client.query(`update ${table} set step = step - 3600000, page = null`)
  await write(1, '2')
  const { rows } = await client.query(
    `select count(*)::integer as rows, min(value), max(value) from ${table}`,
  )
  assert.deepEqual(rows, [{ rows: keys.length, min: '2', max: '2' }])
})

test('under a snapshot that stays open, what is read of the log of a store does not grow with the rows that left it', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  await using holder = await openClient(database.url)
  await holder.query('begin isolation level repeatable read; select 1 from pg_class limit 1')
  const lease = await one.lease()
  const { name } = engines.schema
  const many = Array.from({ length: 200 }, (_, index) => `customer-${index}`)
  const pagesAfter: number[] = []
  const unitsLogged = 16 * postgresLimits.stateLogRowsMax
  for (let n = 0; n < unitsLogged; n++) {
    await one.commit(lease, n === 0 ? undefined : n, n + 1, {
      state: [{ store: 'sums', keys: many, values: many.map(() => String(n)) }],
    })
    if ((n + 1) % postgresLimits.stateLogRowsMax > 0) continue
    const look = `select * from ${name}.read_state('billing', 'orders', 0, 'sums', array['customer-7'])`
    pagesAfter.push(await pagesRead(database.url, look))
  }
  assert.deepEqual(await one.engine.readState(lease.task, 'sums', ['customer-7']), [String(unitsLogged - 1)])
  // Until half of the run the indexes of what is stored out of line become deeper.
  assert.ok(pagesAfter.at(-1)! <= pagesAfter[7]! + 10, `pages: ${pagesAfter.join(', ')}`)
})
