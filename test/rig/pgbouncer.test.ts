import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import { type PgBouncer, startPgBouncer } from './postgres/pgbouncer.ts'
import { isAlive } from './postgres/processes.ts'
import type { PostgresAddress } from './postgres/server.ts'
import { sharedPostgres } from './postgres/shared.ts'

let server: PostgresAddress
let pooler: PgBouncer

before(async () => {
  server = await sharedPostgres(18)
  pooler = await startPgBouncer(server, { poolSize: 2 })
})
after(() => pooler.stop())

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return client
}

const backendOf = async (client: Client) =>
  (await client.query('select pg_backend_pid() as pid')).rows[0].pid as number

test('clients share fewer sessions than they are', async () => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => connected(pooler.url)))
  const backends = await Promise.all(clients.map(backendOf))
  assert.ok(new Set(backends).size <= 2)
  await Promise.all(clients.map((client) => client.end()))
})

test('a transaction stays in one session, and the next may be in another: session state is not kept', async () => {
  const [one, other] = [await connected(pooler.url), await connected(pooler.url)]
  await one.query('begin')
  const first = await backendOf(one)
  assert.equal(await backendOf(one), first)
  await one.query("set application_name = 'left behind'")
  await one.query('commit')
  await other.query('begin')
  await backendOf(other)
  await one.query('begin')
  assert.notEqual(await backendOf(one), await backendOf(other))
  await Promise.all([one, other].map((client) => client.query('rollback')))
  await Promise.all([one, other].map((client) => client.end()))
})

test('a prepared statement is unknown in another session', async () => {
  const [one, other] = [await connected(pooler.url), await connected(pooler.url)]
  const prepared = { name: 'p', text: 'select 1 as one' }
  await one.query('begin')
  await one.query(prepared)
  await other.query('begin')
  await assert.rejects(other.query({ text: 'execute p' }), { code: '26000' })
  await Promise.all([one, other].map((client) => client.query('rollback')))
  await Promise.all([one, other].map((client) => client.end()))
})

test('leaves no process behind when it is stopped', async () => {
  const another = await startPgBouncer(server)
  await another.stop()
  assert.equal(isAlive(another.pid), false)
})
