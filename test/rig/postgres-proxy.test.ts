import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Client, type ClientConfig } from 'pg'
import { type FreshDatabase, freshDatabase } from './postgres/fresh.ts'
import { queryOnce } from './postgres/server.ts'
import { sharedPostgres } from './postgres/shared.ts'
import { until } from './postgres/until.ts'
import { FrameReader } from './proxy/postgres-frames.ts'
import { isCommit, type PostgresProxy, startPostgresProxy } from './proxy/postgres-proxy.ts'

let database: FreshDatabase
let proxy: PostgresProxy
let clients: Client[] = []

before(async () => {
  database = await freshDatabase(await sharedPostgres(18))
  await queryOnce(database.url, 'create table kept (value int)')
})
after(() => database.drop())

beforeEach(async () => {
  await queryOnce(database.url, 'truncate kept')
  proxy = await startPostgresProxy(database)
})
afterEach(async () => {
  await proxy.close()
  for (const client of clients) await client.end().catch(() => {})
  clients = []
})

async function connected(config: ClientConfig = {}): Promise<Client> {
  const client = new Client({ connectionString: proxy.url, ...config })
  client.on('error', () => {})
  clients.push(client)
  await client.connect()
  return client
}

const kept = async () =>
  (await queryOnce<{ value: number }>(database.url, 'select value from kept order by 1')).map(
    ({ value }) => value,
  )

/** The same commit in the shapes in which drivers send it. */
const commits: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
  'simple query': (client) => client.query('COMMIT'),
  'query of several statements': (client) => client.query('insert into kept values (2); commit;'),
  'extended query': (client) => client.query({ text: 'commit', queryMode: 'extended' } as never),
  'named prepared statement': (client) => client.query({ name: 'c', text: 'commit' }),
}

for (const [shape, commit] of Object.entries(commits)) {
  describe(`COMMIT as a ${shape}`, () => {
    async function inTransaction(): Promise<Client> {
      const client = await connected()
      await client.query('begin')
      await client.query('insert into kept values ($1)', [1])
      return client
    }

    test('its reply dropped: the row is committed, the client has an error', async () => {
      const client = await inTransaction()
      const trap = proxy.trap({ kind: 'drop-reply' })
      await assert.rejects(commit(client))
      await trap.sprung()
      assert.equal((await kept())[0], 1)
    })

    test('cut before it arrives: nothing is committed, the client has an error', async () => {
      const client = await inTransaction()
      const trap = proxy.trap({ kind: 'cut-request', cutBy: 'close' })
      await assert.rejects(commit(client))
      await trap.sprung()
      assert.deepEqual(await kept(), [])
    })

    test('its reply held: the row is committed, the client hears it later', async () => {
      const client = await inTransaction()
      const trap = proxy.trap({ kind: 'hold-reply' })
      let done = false
      const committing = commit(client).then(() => {
        done = true
      })
      await trap.sprung()
      assert.equal((await kept())[0], 1)
      assert.equal(done, false)
      trap.release()
      await committing
      assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    })

    test('held on its way: it is committed long after its client has gone', async () => {
      const client = await inTransaction()
      const trap = proxy.trap({ kind: 'hold-request' })
      const committing = assert.rejects(commit(client))
      await trap.sprung()
      client.connection.stream.destroy()
      await committing
      assert.deepEqual(await kept(), [])
      trap.release()
      await until('it is committed', async () => (await kept()).includes(1))
    })
  })
}

describe('a PostgreSQL proxy', () => {
  test('changes nothing without a trap, also for large statements, values and results', async () => {
    const client = await connected()
    const large = 'x'.repeat(3 << 20)
    const { rows } = await client.query(`select $1::text as value, '${large}' as literal`, [large])
    assert.deepEqual(rows, [{ value: large, literal: large }])
    assert.equal((await client.query('select generate_series(1, 20000)')).rowCount, 20_000)
    await assert.rejects(client.query('select nonsense'), { code: '42703' })
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
  })

  test('catches the n-th commit, over all connections, and then no other', async () => {
    const trap = proxy.trap({ kind: 'drop-reply', nth: 3 })
    const [one, other] = [await connected(), await connected()]
    await one.query('begin; commit')
    await other.query('begin; commit')
    await one.query('begin')
    await assert.rejects(one.query('commit'))
    await trap.sprung()
    await other.query('begin; commit')
  })

  test('catches any statement that is asked for, such as one that commits by itself', async () => {
    const client = await connected()
    const trap = proxy.trap({ kind: 'drop-reply', statement: (sql) => sql.startsWith('insert into kept') })
    await client.query('select 1')
    await assert.rejects(client.query('insert into kept values ($1)', [5]))
    await trap.sprung()
    assert.deepEqual(await kept(), [5])
  })

  test('cuts in a pipeline: what was sent before has its effect and its reply, what comes after has neither', async () => {
    const client = await connected({ pipelining: true } as ClientConfig)
    const trap = proxy.trap({ kind: 'drop-reply' })
    const sent = [
      client.query('begin'),
      client.query('insert into kept values ($1)', [1]),
      client.query({ name: 'c', text: 'commit' }),
      client.query('insert into kept values ($1)', [2]),
    ]
    const outcomes = await Promise.allSettled(sent)
    await trap.sprung()
    assert.deepEqual(outcomes.map(({ status }) => status).slice(0, 3), ['fulfilled', 'fulfilled', 'rejected'])
    assert.equal((await kept())[0], 1)
  })

  test('waits for a commit that is run: one that the server skips after an error is not caught', async () => {
    const trap = proxy.trap({ kind: 'drop-reply' })
    const session = new RawSession(proxy.port)
    session.start()
    await until('the server is ready', () => session.hasMessage('Z'))
    for (const sql of ['select nonsense', 'commit']) session.execute(sql)
    await until('the error', () => session.hasMessage('E'))
    session.execute('commit')
    session.received = Buffer.alloc(0)
    session.sync()
    await until('the server is ready again', () => session.hasMessage('Z'))
    session.execute('commit')
    session.sync()
    await trap.sprung()
    await until('the connection is cut', () => session.socket.closed)
  })

  test('held replies can be cut instead', async () => {
    const client = await connected()
    const trap = proxy.trap({ kind: 'hold-reply' })
    await client.query('begin')
    const committing = assert.rejects(client.query('commit'))
    await trap.sprung()
    trap.cut()
    await committing
  })

  test('lets a client ask for encryption, hear no, and go on', async () => {
    const session = new RawSession(proxy.port)
    session.socket.write(encryptionRequest)
    await until('an answer', () => session.received.toString() === 'N')
    session.start()
    await until('the server is ready', () => session.hasMessage('Z'))
  })

  test('passes a request to cancel', async () => {
    const client = await connected()
    const sleeping = assert.rejects(client.query('select pg_sleep(60)'), { code: '57014' })
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
    const request = Buffer.alloc(16)
    for (const [i, word] of [16, 80_877_102, processID, secretKey].entries())
      request.writeInt32BE(word, 4 * i)
    await until('it sleeps', async () => {
      const text = 'select 1 from pg_stat_activity where pid = $1 and wait_event = $2'
      return (await queryOnce(database.url, text, [processID, 'PgSleep'])).length === 1
    })
    // The server reads it and hangs up, in whatever way.
    connect(proxy.port, '127.0.0.1')
      .on('error', () => {})
      .end(request)
    await sleeping
  })

  test('has the faults that need no knowledge of the protocol', async () => {
    const client = await connected()
    proxy.tcp.set('toClient', { blackhole: true })
    const insert = assert.rejects(client.query('insert into kept values (9)'))
    await until('it is committed', async () => (await kept()).includes(9))
    proxy.tcp.heal()
    await insert
  })
})

test('what commits, and what only looks so', () => {
  for (const sql of [
    'commit',
    ' COMMIT AND CHAIN',
    'end',
    'insert into t values (1); commit;',
    'end transaction',
  ])
    assert.equal(isCommit(sql), true, sql)
  for (const sql of [
    'select 1',
    "commit prepared 'x'",
    'select committed from t',
    'rollback',
    'create table ends ()',
  ])
    assert.equal(isCommit(sql), false, sql)
})

const encryptionRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** A client of bare messages, for what no driver does. */
class RawSession {
  readonly socket: Socket
  received: Buffer = Buffer.alloc(0)

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
    })
  }

  start(): void {
    this.received = Buffer.alloc(0)
    const text = 'user\0postgres\0database\0postgres\0\0'
    this.#send('', Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(text)]))
  }

  execute(sql: string): void {
    this.#send('P', Buffer.from(`\0${sql}\0\0\0`))
    this.#send('B', Buffer.alloc(8))
    this.#send('E', Buffer.alloc(5))
  }

  sync(): void {
    this.#send('S', Buffer.alloc(0))
  }

  hasMessage(type: string): boolean {
    return [...new FrameReader({ startup: false }).push(this.received)].some((frame) => frame.type === type)
  }

  #send(type: string, body: Buffer): void {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(4 + body.length)
    this.socket.write(Buffer.concat([Buffer.from(type), length, body]))
  }
}
