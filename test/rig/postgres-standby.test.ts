import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TcpProxy } from '../../src/testing/faults/tcp-proxy.ts'
import { type PostgresServer, startPostgres } from './postgres/server.ts'
import { startStandby } from './postgres/standby.ts'
import { until } from './postgres/until.ts'

let primary: PostgresServer

before(async () => {
  primary = await startPostgres()
  await primary.query('create table kept (value int primary key)')
})
after(() => primary.stop())

const values = async (server: PostgresServer) =>
  (await server.query<{ value: number }>('select value from kept order by 1')).map(({ value }) => value)

test('a standby is read-only and follows its primary, taken while that is written to', async () => {
  let writing = true
  const writer = (async () => {
    let value = 0
    while (writing) await primary.query('insert into kept values ($1)', [value++])
    return value
  })()
  await using standby = await startStandby(primary, { synchronous: false })
  writing = false
  const written = await writer
  await standby.caughtUp()
  assert.equal(await until('no lag', async () => ((await standby.lag()) === 0 ? 'none' : false)), 'none')
  assert.equal((await values(standby.server)).length, written)
  await assert.rejects(standby.server.query('insert into kept values (-1)'), { code: '25006' })
  await primary.query('truncate kept')
})

test('what an asynchronous standby has not received is lost when it takes over', async () => {
  await using link = await TcpProxy.listen({ target: primary })
  await using standby = await startStandby(primary, { synchronous: false, through: link })
  await primary.query('insert into kept values (1)')
  await standby.caughtUp()
  link.set('both', { stalled: true })
  await primary.query('insert into kept values (2)')
  assert.ok((await standby.lag()) > 0)
  await primary.kill9()
  await standby.promote()
  await standby.server.query('insert into kept values (3)')
  assert.deepEqual(await values(standby.server), [1, 3])
  await primary.restart()
  assert.deepEqual(await values(primary), [1, 2])
  await primary.query('truncate kept')
})

test('a synchronous standby has all that was acknowledged, and holds up what it has not', async () => {
  await using link = await TcpProxy.listen({ target: primary })
  await using standby = await startStandby(primary, { synchronous: true, through: link })
  await primary.query('insert into kept values (1)')
  link.set('both', { stalled: true })
  let acknowledged = false
  const second = primary.query('insert into kept values (2)').then(() => {
    acknowledged = true
  })
  second.catch(() => {})
  await until('the second waits for the standby', async () => {
    const text = "select 1 from pg_stat_activity where wait_event = 'SyncRep'"
    return (await primary.query(text)).length === 1
  })
  await primary.kill9()
  await assert.rejects(second)
  assert.equal(acknowledged, false)
  await standby.promote()
  assert.deepEqual(await values(standby.server), [1])
  // The primary comes back still waiting for its standby, so what is removed here must not be committed by it.
  await primary.restart({ synchronous_commit: 'local' })
})

test('a primary no longer waits for a synchronous standby that was stopped', async () => {
  const standby = await startStandby(primary, { synchronous: true })
  await standby.stop()
  await primary.query('truncate kept')
  assert.deepEqual(await primary.query('select slot_name from pg_replication_slots'), [])
})
