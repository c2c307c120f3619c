import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { isAlive } from './postgres/processes.ts'
import { type PostgresServer, startPostgres } from './postgres/server.ts'
import { until } from './postgres/until.ts'

const module = new URL('./postgres/server.ts', import.meta.url).href

for (const version of [16, 18] as const) {
  describe(`PostgreSQL ${version}`, () => {
    let server: PostgresServer

    before(async () => {
      server = await startPostgres({ version, settings: { max_prepared_transactions: 7 } })
      await server.query('create table kept (value int)')
    })
    after(() => server.stop())

    test('is the version asked for, with its data synced to disk and the settings given', async () => {
      assert.equal((await show(server, 'server_version')).split('.')[0], String(version))
      assert.equal(await show(server, 'fsync'), 'on')
      assert.equal(await show(server, 'max_prepared_transactions'), '7')
    })

    test('kill9 ends every process, a restart brings back what was committed and nothing else', async () => {
      const client = await connected(server.url)
      await client.query('insert into kept values (1)')
      await client.query('begin; insert into kept values (2)')
      const backend = Number((await client.query('select pg_backend_pid() as pid')).rows[0].pid)
      await server.kill9()
      assert.equal(server.pid, undefined)
      assert.equal(isAlive(backend), false)
      await assert.rejects(client.query('commit'))
      await server.restart()
      assert.deepEqual(await server.query('select value from kept'), [{ value: 1 }])
    })

    test('keeps its port and takes new settings after an orderly and an immediate end', async () => {
      const { port } = server
      await server.shutdown('immediate')
      await server.start()
      await server.restart({ work_mem: '7MB' })
      assert.equal(server.port, port)
      assert.equal(await show(server, 'work_mem'), '7MB')
    })

    test('one killed backend takes all other sessions with it, and the server comes back by itself', async () => {
      const [victim, other] = [await connected(server.url), await connected(server.url)]
      const { rows } = await victim.query('select pg_backend_pid() as pid')
      process.kill(rows[0].pid, 'SIGKILL')
      const hasEnded = () =>
        other.query('select 1').then(
          () => false,
          () => true,
        )
      await until('the other session has ended', hasEnded)
      await until('the server answers', () => server.query('select 1'))
    })
  })
}

describe('a PostgreSQL server', () => {
  test('is silent while it is paused, and answers the waiting when it goes on', async () => {
    await using server = await startPostgres()
    const client = await connected(server.url)
    server.pause()
    let answered = false
    const answer = client.query('select 1').then(() => {
      answered = true
    })
    // The time in which a server that is not paused has long answered; a slow machine makes this test no stricter.
    await assert.rejects(until('an answer', () => answered, { deadlineMs: 100 }))
    server.resume()
    await answer
    await client.end()
  })

  test('may start beside others, with whom it shares its system identifier unless it is to have its own', async () => {
    const all = [{}, {}, { ownIdentity: true }]
    const servers = await Promise.all(all.map((options) => startPostgres(options)))
    const [one, other, own] = await Promise.all(servers.map(systemIdentifier))
    assert.equal(one, other)
    assert.notEqual(one, own)
    assert.equal(new Set(servers.map(({ port }) => port)).size, servers.length)
    await Promise.all(servers.map((server) => server.stop()))
  })

  test('does not start on settings it does not know, and its log is in the error', async () => {
    await assert.rejects(
      startPostgres({ settings: { no_such_setting: 1 } }),
      /unrecognized configuration parameter/,
    )
  })

  test('leaves neither process nor folder when it is stopped, be it up, down or paused', async () => {
    const states = [
      () => {},
      (server: PostgresServer) => server.kill9(),
      (server: PostgresServer) => server.pause(),
    ]
    const stopped = states.map(async (reach) => {
      const server = await startPostgres()
      const { pid, dataDir } = server
      await reach(server)
      await server.stop()
      assert.equal(isAlive(pid!), false)
      assert.equal(existsSync(dataDir), false)
    })
    await Promise.all(stopped)
  })

  test('ends, and its folder goes, when the process that started it is killed or just comes to its end', async () => {
    const [killed, ended] = await Promise.all([
      startInChild('setInterval(() => {}, 60_000)'),
      startInChild(''),
    ])
    killed.child.kill('SIGKILL')
    if (ended.child.exitCode === null) await once(ended.child, 'exit')
    assert.equal(ended.child.exitCode, 0)
    await Promise.all([killed, ended].map(({ said }) => isGone(said)))
  })
})

async function connected(url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function show(server: PostgresServer, name: string): Promise<string> {
  return (await server.query<{ value: string }>('select current_setting($1) as value', [name]))[0]!.value
}

async function systemIdentifier(server: PostgresServer): Promise<string> {
  const text = 'select system_identifier as id from pg_control_system()'
  return (await server.query<{ id: string }>(text))[0]!.id
}

interface Said {
  readonly pid: number
  readonly dataDir: string
}

async function startInChild(afterwards: string): Promise<{ child: ChildProcess; said: Said }> {
  const script = `
    import { startPostgres } from ${JSON.stringify(module)}
    const { pid, dataDir } = await startPostgres()
    console.log(JSON.stringify({ pid, dataDir }))
    ${afterwards}`
  const options = ['--input-type=module', '-e', script]
  const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  return { child, said: JSON.parse(line) }
}

async function isGone({ pid, dataDir }: Said): Promise<void> {
  await until('the server has ended', () => !isAlive(pid))
  await until('the folder is gone', () => !existsSync(dataDir))
}
