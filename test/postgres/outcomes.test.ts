import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { isSemelError } from '../../src/errors.ts'
import { record, records, refuses } from '../../src/testing/conformance/records.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { Engines, isWrite } from './engines.ts'

const server = await sharedPostgres(18)

async function outcomeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: unknown) => (isSemelError(error) ? error.outcome : inspect(error)),
  )
}

test('the reply to a publish is lost: unknown, and a retry by id finds it (Q2, U1, U2, N1)', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  const one = await engines.open({ url: proxy.url })
  await one.declare()
  const trap = proxy.trap({ kind: 'drop-reply', statement: isWrite })
  assert.equal(await outcomeOf(one.publish(records(3))), 'unknown')
  await trap.sprung
  await refuses('PREDECESSOR_FAILED', () => one.publish([record('behind')]))
  const other = await engines.open()
  assert.deepEqual(await other.publish(records(3)), { offsets: [0, 1, 2], duplicates: [0, 1, 2] })
})

test('a publish that never reached the server is unknown as well, and a retry appends it', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  const one = await engines.open({ url: proxy.url })
  await one.declare()
  proxy.trap({ kind: 'cut-request', statement: isWrite })
  assert.equal(await outcomeOf(one.publish(records(3))), 'unknown')
  const other = await engines.open()
  assert.deepEqual((await other.publish(records(3))).duplicates, [])
})

test('a write that arrives long after its sender gave up does nothing, fresh ids or not (U2)', async () => {
  for (const fresh of [true, false]) {
    await using proxy = await startPostgresProxy(server)
    await using engines = new Engines(server)
    const late = await engines.open({ url: proxy.url, statementMs: 400 })
    await late.declare()
    await late.publish([record('first')])
    const trap = proxy.trap({ kind: 'hold-request', statement: isWrite })
    assert.equal(await outcomeOf(late.publish(records(3), { fresh })), 'unknown')
    const retry = await engines.open()
    assert.deepEqual((await retry.publish(records(3))).offsets, [1, 2, 3])
    trap.release()
    await retry.publish([record('last')])
    assert.deepEqual(await retry.ids(), ['first', 'e0', 'e1', 'e2', 'last'])
    assert.deepEqual((await retry.publish([record('e1')])).offsets, [2])
  }
})

test('the reply to a unit is lost: unknown, and the position says that it happened', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  const one = await engines.open({ url: proxy.url })
  await one.declare()
  const lease = await one.lease()
  const state = [{ store: 's', keys: ['k'], values: ['v'] }]
  await one.commit(lease, undefined, 1, { state })
  const dropped = proxy.trap({ kind: 'drop-reply', statement: isWrite })
  assert.equal(await outcomeOf(one.commit(lease, 1, 2, { state })), 'unknown')
  await dropped.sprung
  assert.equal((await one.engine.load(lease)).position, 2)
  proxy.trap({ kind: 'cut-request', statement: isWrite })
  assert.equal(await outcomeOf(one.commit(lease, 2, 3, { state })), 'unknown')
  assert.equal((await one.engine.load(lease)).position, 2)
})

test('the reply to a user transaction’s COMMIT is lost: unknown; lost before it: not applied', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  const one = await engines.open({ url: proxy.url })
  await one.declare()
  const lease = await one.lease()
  const table = `"${engines.schema.name}".accounts`
  const never = new AbortController().signal
  const first = await one.engine.begin(lease, never)
  await first.query(`create table ${table} (id text primary key)`, [])
  await first.commit(one.unit(lease, undefined, 1))

  const second = await one.engine.begin(lease, never)
  await second.query(`insert into ${table} values ($1)`, ['a'])
  proxy.trap({ kind: 'drop-reply' })
  assert.equal(await outcomeOf(second.commit(one.unit(lease, 1, 2))), 'unknown')
  assert.equal((await one.engine.load(lease)).position, 2)

  const third = await one.engine.begin(lease, never)
  await third.query(`insert into ${table} values ($1)`, ['b'])
  proxy.trap({ kind: 'drop-reply', statement: isWrite })
  assert.equal(await outcomeOf(third.commit(one.unit(lease, 2, 3))), 'not-applied')
  assert.equal((await one.engine.load(lease)).position, 2)
})

test('nobody waits for a black hole: every operation ends in its time (U3)', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  // Making the schema may take longer on a slow machine.
  await engines.open()
  const one = await engines.open({ url: proxy.url, statementMs: 300, reconnectMs: 600 })
  await one.declare()
  const lease = await one.lease()
  await one.publish(records(2))
  proxy.tcp.set('both', { stalled: true })
  const outcomes = await Promise.all([
    outcomeOf(one.publish([record('x')])),
    outcomeOf(one.commit(lease, undefined, 1)),
    outcomeOf(one.ids()),
    outcomeOf(one.engine.load(lease)),
    outcomeOf(one.engine.status()),
    outcomeOf(one.engine.begin(lease, new AbortController().signal)),
  ])
  for (const outcome of outcomes.slice(2)) assert.equal(outcome, 'not-applied')
  proxy.tcp.heal()
  assert.deepEqual(await one.ids().then((ids) => ids.slice(0, 2)), ['e0', 'e1'])
})

test('no error shows the password, however deep one looks (canary)', async () => {
  const secret = 'c4n4ry-p4ssw0rd'
  const errors: unknown[] = []
  const attempts = [
    `postgres://nobody:${secret}@127.0.0.1:1/db`,
    server.url.replace('postgres@', `nobody:${secret}@`),
    server.url.replace('postgres@', `postgres:${secret}@`).replace(/\/[^/]*$/, '/no-such-database'),
    `postgres://u:${secret}@not a host/db`,
    `mysql://u:${secret}@host/db`,
  ]
  for (const url of attempts) {
    try {
      const engines = new Engines(server)
      await engines.unopened({ url, reconnectMs: 50 }).open()
    } catch (error) {
      errors.push(error)
    }
  }
  assert.equal(errors.length, attempts.length)
  for (const error of errors) {
    assert.ok(isSemelError(error), inspect(error))
    const shown = inspect(error, { depth: 20, showHidden: true })
    assert.ok(!shown.includes(secret) && !JSON.stringify(error).includes(secret), shown)
  }
})
