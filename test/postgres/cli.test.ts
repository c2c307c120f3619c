import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { runCli, startCli } from '../cli/run-cli.ts'
import { type FreshDatabase, freshDatabase } from '../rig/postgres/fresh.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../rig/postgres/until.ts'

const orders = topic<unknown>('orders', { partitions: 2 })
const schema = "the shop's"

describe('semel --url', () => {
  let database: FreshDatabase
  let on: string[]

  before(async () => {
    database = await freshDatabase(await sharedPostgres(18))
    on = ['--url', database.url, '--schema', schema]
    await using bus = await openBus({ engine: postgres({ url: database.url, schema }), topics: [orders] })
    for (const n of [1, 2, 3]) await bus.publish(orders, { n }, { id: `order-${n}`, key: 'k' })
    await bus.publish(orders, { n: 1 }, { id: 'order-1', key: 'k' })
    const { promise: done, resolve } = Promise.withResolvers<void>()
    bus.consume(orders, { group: 'billing', retry: { attempts: 1 }, concurrency: 1 }, ({ id }) => {
      if (id === 'order-3') resolve()
      if (id === 'order-2') throw new Error('cannot bill this')
    })
    await done
  })
  after(() => database.drop())

  test('status shows topics, groups and the server', async () => {
    const { status, out, err } = await runCli(['status', ...on])
    assert.equal(status, 0, err)
    assert.match(out, /schema the shop's .*fsync on/)
    assert.match(out, /orders +2 +3 +1 /)
    assert.match(out, /billing/)
    const snapshot = JSON.parse((await runCli(['status', ...on, '--json'])).out)
    assert.equal(snapshot.engine.name, 'postgres')
    assert.equal(snapshot.groups[0].deadLetters, 1)
  })

  test('groups shows positions and dead letters', async () => {
    const { out } = await runCli(['groups', 'billing', '--dead-letters', ...on])
    assert.match(out, /order-2 .* cannot bill this/)
    assert.match((await runCli(['groups', ...on])).out, /billing +orders\/\d/)
  })

  test('tail prints events, and follows', async () => {
    const { out } = await runCli(['tail', 'orders', '--json', ...on])
    const ids = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id)
    assert.deepEqual(ids, ['order-1', 'order-2', 'order-3'])
    const child = startCli(['tail', 'orders', '--from', 'latest', '--follow', '--json', ...on])
    const seen: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => seen.push(line))
    // Nothing says from outside when it has begun to follow.
    await until('it prints what is published', async () => {
      await runCli(['publish', 'orders', '--data', '4', ...on])
      return seen.length > 0
    })
    assert.equal(JSON.parse(seen[0]!).data, 4)
    child.kill('SIGTERM')
    await once(child, 'exit')
  })

  test('publish appends, and recognises an id again', async () => {
    const args = ['publish', 'orders', '--data', '{"n":9}', '--id', 'order-9', '--key', 'k', ...on]
    const first = await runCli(args)
    assert.match(first.out, /^orders\/\d@\d+ {2}order-9\n$/, first.err)
    assert.match((await runCli(args)).out, /order-9 {2}duplicate/)
  })

  for (const command of [['status'], ['groups'], ['tail', 'orders'], ['publish', 'orders', '--data', '1']]) {
    test(`${command[0]} makes no schema by a mistyped name, and no table in it`, async () => {
      const { status, err } = await runCli([...command, '--url', database.url, '--json'])
      assert.equal(status, 1)
      assert.equal(JSON.parse(err).error.code, 'NOT_FOUND')
      assert.deepEqual(
        await queryOnce(database.url, "select 1 from pg_namespace where nspname = 'semel'"),
        [],
      )
    })
  }

  test('a server that is not there is told in time, and no password is shown', async () => {
    const { status, out, err } = await runCli(['status', '--url', 'postgres://u:s3cr3t@127.0.0.1:1/d'])
    assert.equal(status, 1)
    assert.match(err, /ENGINE_UNAVAILABLE/)
    assert.ok(!`${out}${err}`.includes('s3cr3t'))
  })
})
