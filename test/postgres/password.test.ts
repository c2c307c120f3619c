import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { postgres } from '../../src/engines/postgres/index.ts'
import { type Bus, isSemelError, openBus, topic } from '../../src/index.ts'
import { channels } from '../../src/runtime/channels.ts'
import { runCli } from '../cli/run-cli.ts'
import { type PostgresServer, startPostgres } from '../rig/postgres/server.ts'
import { type PostgresProxy, startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { until } from '../support/until.ts'
import { isWrite } from './engines.ts'

/** In an address it is escaped, so we look for the part that looks the same everywhere. */
const canary = 'c4n4ry'
const password = `${canary}/ä%:@`
const orders = topic<number>('orders')

/** Everything that a program could print or send to a log. */
class Seen {
  readonly #texts: string[] = []
  errors = 0

  add(what: unknown): void {
    this.#texts.push(inspect(what, { depth: 20, showHidden: true }), JSON.stringify(what) ?? '')
  }

  async fails(code: string, work: () => Promise<unknown>): Promise<void> {
    const error = await work().then(
      () => assert.fail(`no ${code}`),
      (reason: unknown) => reason,
    )
    assert.ok(isSemelError(error), inspect(error))
    assert.equal(error.code, code, inspect(error))
    this.errors++
    this.add(error)
    this.add(error.stack)
    this.add(`${error}`)
  }

  check(): void {
    for (const text of this.#texts) assert.ok(!text.includes(canary), text)
  }
}

/** A server that asks one role for its password. */
async function startAsking(): Promise<PostgresServer> {
  const server = await startPostgres()
  await server.query(`create role app login password '${password}'`)
  await server.query('create database app owner app')
  const rules = join(server.dataDir, 'pg_hba.conf')
  writeFileSync(rules, `host all app 127.0.0.1/32 scram-sha-256\n${readFileSync(rules, 'utf8')}`)
  await server.query("alter system set log_statement = 'all'")
  await server.query("alter system set log_connections = 'on'")
  await server.query('select pg_reload_conf()')
  return server
}

function urlOf(proxy: PostgresProxy, database: string, secret: string): string {
  return `postgres://app:${encodeURIComponent(secret)}@127.0.0.1:${proxy.port}/${database}`
}

async function open(url: string, statementMs = 1_500): Promise<Bus> {
  const engine = postgres({ url, statementMs, reconnectMs: 300 })
  return await openBus({ engine, topics: [orders] })
}

test('no password is in any error, hook, status, warning or log of the server, whatever fails (canary)', async () => {
  await using server = await startAsking()
  await using proxy = await startPostgresProxy(server)
  const seen = new Seen()
  const hear = (message: unknown): void => seen.add(message)
  for (const channel of Object.values(channels)) channel.subscribe(hear)
  process.on('warning', hear)
  const url = urlOf(proxy, 'app', password)

  await seen.fails('ENGINE_UNAVAILABLE', () => open(urlOf(proxy, 'app', `${password}!`)))
  await seen.fails('ENGINE_UNAVAILABLE', () => open(urlOf(proxy, 'nowhere', password)))
  // Making the schema may take longer on a slow machine.
  await (await open(url, 30_000)).stop()
  {
    await using bus = await open(url)
    await bus.publish(orders, 1)
    proxy.trap({ kind: 'drop-reply', statement: isWrite })
    await seen.fails('ENGINE_UNAVAILABLE', () => bus.publish(orders, 2))
    proxy.tcp.set('both', { stalled: true })
    await seen.fails('ENGINE_UNAVAILABLE', () => bus.publish(orders, 3))
    proxy.tcp.heal()

    let failures = 0
    const consumer = bus.consume(
      orders,
      { group: 'g', retry: { attempts: 2, baseDelayMs: 1 } },
      async (_, tx) => {
        await tx.query('select no_such_column, $1', [failures++])
      },
    )
    await until(() => failures >= 4)
    await consumer.stop()
    seen.add(await bus.status())
    seen.add(bus)
    seen.add(bus.engine)

    await server.kill9()
    await seen.fails('ENGINE_UNAVAILABLE', () => bus.publish(orders, 4))
    await server.start()
    await bus.publish(orders, 5)
    await server.query("alter role app password 'another'")
    await server.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    await seen.fails('ENGINE_UNAVAILABLE', () => bus.publish(orders, 6))
  }
  const { out, err } = await runCli(['status', '--url', url])
  seen.add([out, err])

  for (const channel of Object.values(channels)) channel.unsubscribe(hear)
  process.off('warning', hear)
  seen.check()
  assert.ok(server.log.includes('no_such_column') && server.log.includes('password authentication failed'))
  assert.ok(!server.log.includes(canary), 'the log of the server')
})
