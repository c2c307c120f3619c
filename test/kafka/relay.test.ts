import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { publishIn, publishInSqlite, relayOutbox, sqliteOutbox, viaPg } from '../../src/outbox/index.ts'
import { newFile } from '../inbox/inbox.ts'
import { OutboxDatabase } from '../outbox/outbox-database.ts'
import { orders as kept } from '../outbox/outbox-topics.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { consumeSome, disconnect, openConsumer } from '../rig/kafka/client.ts'
import { openTarget, orders } from '../rig/kafka/relay-life.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

const program = join(import.meta.dirname, '../rig/kafka/relay-life.ts')
const customers = 3
let broker: Kafka
const children = new Set<ChildProcess>()
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 1_000, 'group.consumer.heartbeat.interval.ms': 200 }
  broker = await startKafka({ brokers: 1, settings })
})
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await broker.stop()
})

function startRelay(prefix: string, outbox: string, crashAt: string): ChildProcess {
  const child = spawn(process.execPath, [program, broker.bootstrap, prefix, outbox, crashAt], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** Its whole life; the kill must hit. */
async function liveAndDie(prefix: string, outbox: string, crashAt: string): Promise<void> {
  const child = startRelay(prefix, outbox, crashAt)
  const late = setTimeout(() => child.kill('SIGABRT'), 60_000)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(late)
  assert.equal(signal, 'SIGKILL', `${crashAt}: ended with ${code}`)
}

/** The program's own transactions, one after another: `n` counts what was committed of a customer. */
class Program {
  readonly counts = new Array<number>(customers).fill(0)
  readonly #publish: (customer: string, n: number, id: string) => Promise<void>
  isDone = false

  constructor(publish: (customer: string, n: number, id: string) => Promise<void>) {
    this.#publish = publish
  }

  async run(): Promise<void> {
    for (let i = 0; !this.isDone; i++) {
      const c = i % customers
      const n = this.counts[c]!++
      await this.#publish(`customer-${c}`, n, `${c}-${n}`)
      await pause(4)
    }
  }
}

/** What a plain read-committed consumer finds: every id once, each customer's in the order of the commits. */
async function requireOnce(topic: string, { counts }: Program): Promise<void> {
  const consumer = await openConsumer(broker.bootstrap, `judge-${topic}`)
  const partitions = [0, 1, 2, 3]
  consumer.assign(partitions.map((partition) => ({ topic, partition, offset: 0 })))
  const total = counts.reduce((sum, count) => sum + count, 0)
  const messages = await consumeSome(consumer, total)
  const found = [...messages, ...(await consumeSome(consumer, 1, 1_000))].map(({ headers, value }) => {
    const id = headers!.map(({ ce_id }) => ce_id).find((each) => each !== undefined)
    return { id: String(id), ...JSON.parse(String(value)) }
  })
  await disconnect(consumer)
  for (const [c, count] of counts.entries()) {
    const own = found.filter(({ customer }) => customer === `customer-${c}`)
    assert.deepEqual(
      own.map(({ id }) => id),
      Array.from({ length: count }, (_, n) => `${c}-${n}`),
    )
  }
  assert.equal(found.length, total)
}

async function endWith(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM')
  assert.equal((await once(child, 'exit'))[0], 0)
}

test('from a SQLite file, the relay killed at named steps: in Kafka every event once, in order (P5, X1)', async () => {
  const file = newFile()
  const database = new DatabaseSync(file, { timeout: 5_000 })
  const program = new Program(async (customer, n, id) => {
    database.exec('begin immediate')
    publishInSqlite(database, kept, { customer, n }, { id })
    database.exec('commit')
  })
  const running = program.run()
  for (const step of ['publish:2', 'publishing:1', 'published:1', 'published:3', 'removed:1'])
    await liveAndDie('file.', file, step)
  program.isDone = true
  await running
  const last = startRelay('file.', file, '')
  const waiting = database.prepare('select count(*) as n from semel_outbox')
  await until(() => waiting.get()!.n === 0)
  await endWith(last)
  database.close()
  await requireOnce('file.orders', program)
})

test('from PostgreSQL, the sequencer killed at named steps: in Kafka every event once, in order (P5, X1)', async () => {
  await using database = await OutboxDatabase.open()
  const { schema } = database
  const program = new Program(async (customer, n, id) => {
    await database.transaction((client) =>
      publishIn(viaPg(client), kept, { customer, n }, { id }, { schema }),
    )
  })
  const running = program.run()
  const outbox = `${database.url}#${schema}`
  for (const step of ['publishing:2', 'published:1', 'published:2']) await liveAndDie('server.', outbox, step)
  program.isDone = true
  await running
  const last = startRelay('server.', outbox, '')
  await until(async () => (await database.waiting()) === 0)
  await endWith(last)
  await requireOnce('server.orders', program)
})

test('two relays of one outbox: one is let in, and what the other has read before is not published again (Z1)', async () => {
  const file = newFile()
  const database = new DatabaseSync(file, { timeout: 5_000 })
  await using bus = await openTarget(broker.bootstrap, 'two.')
  const publish = (from: number, to: number): void => {
    database.exec('begin immediate')
    for (let n = from; n < to; n++) publishInSqlite(database, kept, { customer: 'a', n }, { id: `${n}` })
    database.exec('commit')
  }
  publish(0, 10)
  const first = relayOutbox({ from: sqliteOutbox({ file }), to: bus, leaseMs: 1_000 })
  await using other = await openTarget(broker.bootstrap, 'two.')
  await using second = relayOutbox({ from: sqliteOutbox({ file }), to: other, leaseMs: 1_000 })
  await until(() => first.relayed + second.relayed === 10)
  publish(10, 20)
  await until(() => first.relayed + second.relayed === 20)
  await first.stop()
  publish(20, 30)
  await until(() => first.relayed + second.relayed === 30)
  const ids = (await readAll(bus, orders)).map(({ id }) => Number(id))
  assert.deepEqual(
    ids,
    Array.from({ length: 30 }, (_, n) => n),
  )
  assert.ok(first.relayed === 0 || first.relayed === 20)
  database.close()
})
