import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { freshDatabase, freshSchema } from './postgres/fresh.ts'
import { queryOnce } from './postgres/server.ts'
import { sharedPostgres, startSharedPostgres } from './postgres/shared.ts'

const module = new URL('./postgres/shared.ts', import.meta.url).href
const ask = `import { sharedPostgres } from ${JSON.stringify(module)}; console.log((await sharedPostgres(18)).url)`

async function askInChild(env: Readonly<Record<string, string>>): Promise<string> {
  const options = { env: { ...process.env, ...env } }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', ask], options)
  return stdout.trim()
}

test('all processes of a run share the server in the environment', async () => {
  const { SEMEL_TEST_PG18_URL: _, ...environment } = process.env
  const own = await sharedPostgres(18)
  const env = { ...(environment as Record<string, string>), SEMEL_TEST_PG18_URL: own.url }
  assert.deepEqual(await Promise.all([askInChild(env), askInChild(env)]), [own.url, own.url])
})

test('a server that does not answer fails, and so does one of another version', async () => {
  await assert.rejects(
    askInChild({ SEMEL_TEST_PG18_URL: 'postgres://postgres@127.0.0.1:1/postgres' }),
    /does not answer/,
  )
  const { url } = await sharedPostgres(16)
  await assert.rejects(askInChild({ SEMEL_TEST_PG18_URL: url }), /is the address of version 16/)
})

test('a run starts the servers that the environment does not name', async () => {
  const saved = process.env.SEMEL_TEST_PG18_URL
  const own = await sharedPostgres(18)
  process.env.SEMEL_TEST_PG18_URL = own.url
  const run = await startSharedPostgres([18])
  assert.deepEqual(run.env, {})
  delete process.env.SEMEL_TEST_PG18_URL
  const other = await startSharedPostgres([18])
  assert.equal(await askInChild(other.env), other.env.SEMEL_TEST_PG18_URL)
  await other.stop()
  if (saved !== undefined) process.env.SEMEL_TEST_PG18_URL = saved
})

test('fresh databases and schemas are empty, one’s own, and gone when dropped', async () => {
  const server = await sharedPostgres(16)
  const [one, other] = [await freshDatabase(server), await freshDatabase(server)]
  await queryOnce(one.url, 'create table t ()')
  await queryOnce(other.url, 'create table t ()')
  await Promise.all([one.drop(), other.drop()])
  await assert.rejects(queryOnce(one.url, 'select 1'), { code: '3D000' })
  const [schema, another] = [freshSchema(server), freshSchema(server)]
  assert.notEqual(schema.name, another.name)
  await queryOnce(server.url, `create schema ${schema.name}`)
  await schema.drop()
  await another.drop()
  const text = 'select 1 from pg_namespace where nspname = $1'
  assert.deepEqual(await queryOnce(server.url, text, [schema.name]), [])
})
