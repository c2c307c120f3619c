import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSemelError } from '../../src/errors.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { batchOf, record, refuses } from '../../src/testing/conformance/records.ts'
import { TcpProxy } from '../../src/testing/faults/tcp-proxy.ts'
import { runCli } from '../cli/run-cli.ts'
import { startPostgres } from '../rig/postgres/server.ts'
import { startStandby } from '../rig/postgres/standby.ts'
import { Engines } from './engines.ts'

interface Published {
  readonly acknowledged: Set<string>
  readonly unknown: Set<string>
}

/** As a publisher that was told of so many failed calls. */
async function publishOne(one: Instance, id: string, failuresSeen: number): Promise<void> {
  const batches = [batchOf([record(id)])]
  const result = await one.engine.append({ calls: 1, batches, failuresSeen }, { durability: 'fsync' })
  for (const failure of result.failures.values()) throw failure
}

/** Publishes one id after the other until told to stop; what is not known to be applied is tried again by its id. */
async function publishUntil(one: Instance, done: () => boolean): Promise<Published> {
  const acknowledged = new Set<string>()
  const unknown = new Set<string>()
  let failures = 0
  for (let n = 0; !done(); n++) {
    for (;;) {
      try {
        await publishOne(one, `${one.member}-${n}`, failures)
        acknowledged.add(`${one.member}-${n}`)
        break
      } catch (error) {
        assert.ok(isSemelError(error) && (error.retryable || error.outcome === 'unknown'), String(error))
        failures++
        if (error.outcome === 'unknown') unknown.add(`${one.member}-${n}`)
        if (done()) return { acknowledged, unknown }
      }
    }
  }
  return { acknowledged, unknown }
}

async function checkPublished(one: Instance, all: readonly Published[]): Promise<void> {
  const ids = await one.ids()
  assert.equal(new Set(ids).size, ids.length, 'nothing twice')
  for (const { acknowledged, unknown } of all) {
    for (const id of acknowledged) assert.ok(ids.includes(id), `${id} was acknowledged`)
    const mine = ids.filter((id) => acknowledged.has(id) || unknown.has(id))
    const sorted = [...mine].sort((a, b) => Number(a.split('-').at(-1)) - Number(b.split('-').at(-1)))
    assert.deepEqual(mine, sorted, 'in the order of the calls')
  }
}

test('kill -9 of the whole server, an immediate stop, killed backends: all acknowledged is there, once (Q1, Q3)', async () => {
  await using server = await startPostgres()
  await using engines = new Engines(server)
  const writers = [await engines.open(), await engines.open()]
  for (const one of writers) await one.declare()
  let stop = false
  const publishing = writers.map((one) => publishUntil(one, () => stop))
  const reached = async (count: number) => {
    const watcher = await engines.open()
    while ((await watcher.ids()).length < count) await watcher.engine.status()
    await watcher.engine.close()
  }
  await reached(40)
  await server.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and application_name = $1',
    ['semel'],
  )
  await reached(80)
  await server.kill9()
  await server.start()
  await reached(120)
  await server.shutdown('immediate')
  await server.start()
  await reached(160)
  stop = true
  const published = await Promise.all(publishing)
  await checkPublished(await engines.open(), published)
})

test('a standby is refused by name, and the primary is found among several hosts (Q7)', async () => {
  await using primary = await startPostgres()
  await using standby = await startStandby(primary, { synchronous: false })
  await using engines = new Engines(primary)
  const one = await engines.open()
  await one.declare()
  await one.publish([record('a')])
  await standby.caughtUp()
  await refuses('READ_ONLY_STANDBY', () => engines.unopened({ url: standby.url, reconnectMs: 100 }).open())
  const hosts = `postgres://postgres@127.0.0.1:${standby.server.port},127.0.0.1:${primary.port}/postgres`
  const both = await engines.open({ url: hosts })
  assert.deepEqual(await both.ids(), ['a'])
  const status = await both.engine.status()
  assert.equal(status.storage.standbys, 1)
})

test('an asynchronous standby takes over: what it never had is LOG_REGRESSED, not silence (D6, Q6)', async () => {
  await using primary = await startPostgres()
  await using link = await TcpProxy.listen({ target: { port: primary.port } })
  await using standby = await startStandby(primary, { synchronous: false, through: link })
  const engines = new Engines(primary)
  const hosts = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.server.port}/postgres`
  const one = await engines.open({ url: hosts, reconnectMs: 30_000 })
  const reader = await engines.open({ url: hosts, reconnectMs: 30_000 })
  await one.declare()
  await one.publish([record('kept')])
  await standby.caughtUp()
  link.set('both', { stalled: true })
  await one.publish([record('lost')])
  assert.deepEqual(await reader.ids(), ['kept', 'lost'])
  await primary.kill9()
  await link.close()
  await standby.promote()
  const error = await one.publish([record('next')]).catch((cause: unknown) => cause)
  assert.ok(isSemelError(error), String(error))
  if (error.code !== 'LOG_REGRESSED') {
    await refuses('LOG_REGRESSED', () => publishOne(one, 'next', 1))
  }
  await refuses('LOG_REGRESSED', () => reader.readAll('orders', 0, 1))
  const after = await engines.open({ url: standby.url })
  assert.deepEqual(await after.ids(), ['kept'])
  for (const each of [one, reader, after]) await each.engine.close()
})

test('a log that went back and has grown again since is found out, too (D6)', async () => {
  await using primary = await startPostgres()
  await using link = await TcpProxy.listen({ target: { port: primary.port } })
  await using standby = await startStandby(primary, { synchronous: false, through: link })
  const engines = new Engines(primary)
  const hosts = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.server.port}/postgres`
  const one = await engines.open({ url: hosts, reconnectMs: 30_000 })
  await one.declare()
  await one.publish([record('kept')])
  await standby.caughtUp()
  link.set('both', { stalled: true })
  await one.publish([record('lost')])
  await primary.kill9()
  await link.close()
  await standby.promote()
  const other = await engines.open({ url: standby.url })
  await other.publish([record('new'), record('newer')])
  await publishOne(one, 'next', 0).catch(() => undefined)
  await refuses('LOG_REGRESSED', () => publishOne(one, 'next', 1))
  await refuses('LOG_REGRESSED', () => one.ids())
  assert.deepEqual(await other.ids(), ['kept', 'new', 'newer'])
  for (const each of [one, other]) await each.engine.close()
})

test('a synchronous standby takes over: nothing is lost, nothing is doubled (Q6)', async () => {
  await using primary = await startPostgres()
  await using standby = await startStandby(primary, { synchronous: true })
  const engines = new Engines(primary)
  const hosts = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.server.port}/postgres`
  const one = await engines.open({ url: hosts, reconnectMs: 30_000 })
  await one.declare()
  let stop = false
  const publishing = publishUntil(one, () => stop)
  const reader = await engines.open({ url: hosts, reconnectMs: 30_000 })
  while ((await reader.ids()).length < 20) await reader.engine.status()
  await primary.kill9()
  await standby.server.query("alter system set synchronous_standby_names = ''")
  await standby.promote()
  const before = (await reader.ids()).length
  while ((await reader.ids()).length < before + 20) await reader.engine.status()
  stop = true
  const published = await publishing
  await checkPublished(reader, [published])
  for (const each of [one, reader]) await each.engine.close()
})

test('what the asked durability needs is refused by name, or accepted by name (D7)', async () => {
  await using server = await startPostgres({ fsync: false, settings: { full_page_writes: false } })
  await using engines = new Engines(server)
  const error = await refuses('DURABILITY_UNAVAILABLE', () => engines.unopened().open())
  assert.equal(error.field, 'fsync')
  const second = await refuses('DURABILITY_UNAVAILABLE', () => {
    return engines.unopened({ acceptUnsafe: ['fsync'] }).open()
  })
  assert.equal(second.field, 'full_page_writes', 'what is accepted by name is that alone')
  const one = await engines.open({ acceptUnsafe: ['fsync', 'full_page_writes'] })
  const { storage, exceptions } = await one.engine.status()
  const shown = [
    storage.fsync,
    storage.full_page_writes,
    storage.synchronous_commit,
    storage.pg_is_in_recovery,
  ]
  assert.deepEqual(shown, ['off', 'off', 'on', 'off'])
  const why = 'the server runs with fsync = off, full_page_writes = off'
  assert.deepEqual(exceptions, [
    { clause: 'D1', why },
    { clause: 'D5', why },
  ])
  const { out } = await runCli(['guarantees', '--url', server.url, '--json'])
  const d1 = JSON.parse(out).clauses.find(({ id }: { id: string }) => id === 'D1')
  assert.deepEqual([d1.verdict, d1.why], ['no', why])
})

test('synchronous_commit = off of a role or database does not reach an fsync publish (D1)', async () => {
  await using server = await startPostgres({ settings: { synchronous_commit: 'off' } })
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  for (let n = 0; n < 20; n++) await one.publish([record(`a${n}`)])
  await server.kill9()
  await server.start()
  assert.equal((await one.ids()).length, 20)
})
