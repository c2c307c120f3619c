import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  const dead = await pagesRead(database.url, `select count(*) from ${name}.all_state`)
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

test('a value is found and replaced, once, however long ago and in whichever table it was written', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  const lease = await one.lease()
  await using client = await openClient(database.url)
  const { name } = engines.schema
  let position = 0
  const write = async (value: string | undefined) => {
    await one.commit(lease, position === 0 ? undefined : position, ++position, {
      state: [{ store: 'sums', keys, values: keys.map(() => value) }],
    })
    const state = await one.state(lease.task, 'sums')
    assert.deepEqual(state, value === undefined ? {} : Object.fromEntries(keys.map((key) => [key, value])))
  }
  const rowsIn = async (table: string) =>
    (await client.query(`select count(*)::integer as rows from ${name}.${table}`)).rows[0].rows
  const places = async () => [await rowsIn('state'), await rowsIn('hot_state')]
  /** As if an hour had passed; with `page`, as if its page had been full when it was written last. */
  const age = async (page: string) => {
    for (const table of ['state', 'hot_state'])
      await client.query(`update ${name}.${table} set step = step - 3600000, page = ${page}`)
  }
  const all = keys.length
  await write('1')
  assert.deepEqual(await places(), [all, 0])
  await age('null')
  await write('2')
  assert.deepEqual(await places(), [all, 0])
  await age('-1')
  await write('3')
  assert.deepEqual(await places(), [0, all])
  await age('null')
  await write('4')
  assert.deepEqual(await places(), [0, all])
  await age('-1')
  await write('5')
  assert.deepEqual(await places(), [0, all])
  await write(undefined)
  assert.deepEqual(await places(), [0, 0])
  await write('6')
  assert.deepEqual(await places(), [all, 0])
  await write(undefined)
  assert.deepEqual(await places(), [0, 0])
})
