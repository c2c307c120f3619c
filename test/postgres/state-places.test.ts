import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTids, tidArray } from '../../src/engines/postgres/binary-arrays.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await sharedPostgres(18)

test('places travel as the server has them', async () => {
  await using client = await openClient(server.url)
  const places = [1, 2 ** 16 + 1, (2 ** 32 - 2) * 2 ** 16 + 291]
  const { rows } = await client.query('select $1::tid[]::text as text', [tidArray(places)])
  assert.equal(rows[0].text, '{"(0,1)","(1,1)","(4294967294,291)"}')
  assert.deepEqual(parseTids(rows[0].text), places)
  assert.deepEqual(parseTids(null), [])
})

test('a row that is not where it was, or another one there, is not taken for it (X1)', async () => {
  await using database = await freshDatabase(server)
  await using engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  const lease = await one.lease()
  await using client = await openClient(database.url)
  const table = `${engines.schema.name}.state`
  let position = 0
  const write = async (key: string, value: string | undefined) => {
    await one.commit(lease, position === 0 ? undefined : position, ++position, {
      state: [{ store: 'sums', keys: [key], values: [value] }],
    })
  }
  const placeOf = async (key: string): Promise<string> =>
    (await client.query(`select ctid::text as place from ${table} where key = $1`, [key])).rows[0].place
  const state = () => one.state(lease.task, 'sums')

  await write('mine', '1')
  await write('mine', '2')
  const before = await placeOf('mine')
  await client.query(`update ${table} set value = '2, moved'`)
  assert.notEqual(await placeOf('mine'), before)
  await write('mine', '3')
  assert.deepEqual(await state(), { mine: '3' })

  // As another owner would have done it, while this process believed to know where its row is.
  const last = await placeOf('mine')
  const [{ store_id: store }] = (await client.query(`select store_id from ${table}`)).rows
  await client.query(`delete from ${table}`)
  await client.query(`vacuum ${table}`)
  await client.query(`insert into ${table} (store_id, key, step, value) values (${store}, 'theirs', 1, '0')`)
  for (let n = 1; (await placeOf('theirs')) !== last; n++) {
    assert.ok(n < 10, 'the other row comes to the same place')
    await client.query(`update ${table} set value = '${n}'`)
  }
  const { theirs } = await state()
  await write('mine', '4')
  assert.deepEqual(await state(), { mine: '4', theirs })
  await write('mine', undefined)
  assert.deepEqual(await state(), { theirs })
})
