import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Bus } from '../../src/index.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { newFile, newSink, paymentsOf } from '../inbox/inbox.ts'
import { booked, type Payment } from '../inbox/topics.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { openSink, openSource, payments, startBooking } from '../rig/kafka/sink-life.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'

const seed = Number(process.env.SEMEL_TEST_SEED ?? Date.now() % 1_000_000)
const kills = 3
const accounts = 6
const program = join(import.meta.dirname, '../rig/kafka/sink-life.ts')

let broker: Kafka
const children = new Set<ChildProcess>()
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(async () => {
  await Promise.all([...children].map(kill))
  await broker.stop()
})

/** A place that a group's effects are committed to, with the user's own table in it. */
interface Sink extends AsyncDisposable {
  readonly place: string
  rows(): Promise<readonly Payment[]>
}

async function sqliteSink(): Promise<Sink> {
  const place = newFile()
  const database = new DatabaseSync(place, { timeout: 5_000 })
  database.exec('create table ledger (seq integer primary key, account text, n integer)')
  const select = database.prepare('select account, n from ledger order by seq')
  return {
    place,
    rows: async () => select.all().map(({ account, n }) => ({ account: String(account), n: Number(n) })),
    [Symbol.asyncDispose]: async () => database.close(),
  }
}

async function postgresSink(): Promise<Sink> {
  const { url: place, ...database } = await newSink(await sharedPostgres(18))
  return {
    place,
    rows: () => queryOnce<Payment>(place, 'select account, n from ledger order by seq'),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}

async function startConsumer(prefix: string, place: string): Promise<ChildProcess> {
  const child = fork(program, [broker.bootstrap, prefix, place])
  children.add(child)
  child.once('exit', () => children.delete(child))
  assert.deepEqual((await once(child, 'message'))[0], 'joined')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  assert.equal((await ended)[1], 'SIGKILL')
}

/** A hundred events a second or two, in calls that are transactions: their markers are holes in the offsets. */
async function publishUntil(source: Bus, done: () => boolean): Promise<readonly Payment[]> {
  const given: Payment[] = []
  for (let n = 0; !done(); n++) {
    const some = paymentsOf(accounts, 1, n)
    await source.publishMany(some.map((payment) => payments.event(payment)))
    given.push(...some)
    await pause(20)
  }
  return given
}

/** X1, X2: rows, state and emitted events are what one run over `given` without any fault would have left. */
async function requireExactlyOnce(sink: Sink, bus: Bus, given: readonly Payment[]): Promise<void> {
  const rows = await sink.rows()
  const emitted = (await readAll(bus, booked)).map(({ data }) => data)
  for (const { account } of given.slice(0, accounts)) {
    const truth = given.filter((payment) => payment.account === account).map(({ n }) => n)
    const own = rows.filter((row) => row.account === account).map(({ n }) => n)
    assert.deepEqual(own, truth, `rows of ${account}`)
    const counted = emitted.filter((each) => each.account === account).map(({ n, count }) => [n, count])
    assert.deepEqual(
      counted,
      truth.map((n, i) => [n, i + 1]),
      `emitted for ${account}`,
    )
  }
  assert.deepEqual([rows.length, emitted.length], [given.length, given.length])
}

for (const [name, create] of [
  ['SQLite', sqliteSink],
  ['PostgreSQL', postgresSink],
] as const) {
  test(`Kafka to ${name} under kill -9 of the consumers: exactly the truth (X2, seed ${seed})`, async () => {
    await using sink = await create()
    const prefix = `to-${name.toLowerCase()}.`
    const random = new SeededRandom(seed)
    await using source = await openSource(broker.bootstrap, prefix)
    await using bus = await openSink(sink.place)
    let killed = 0
    const publishing = publishUntil(source, () => killed === kills)
    const consumers = [startConsumer(prefix, sink.place), startConsumer(prefix, sink.place)]
    for (; killed < kills; killed++) {
      const before = (await sink.rows()).length
      await until(async () => (await sink.rows()).length > before)
      await pause(random.fraction() * 200)
      await kill(await consumers.shift()!)
      consumers.push(startConsumer(prefix, sink.place))
    }
    const given = await publishing
    await until(async () => (await sink.rows()).length >= given.length)
    for (const consumer of consumers) await kill(await consumer)
    await requireExactlyOnce(sink, bus, given)
  })
}

test('a sink keeps the identity of its source: another log of the same names is LOG_REGRESSED, nothing is booked (D6)', async () => {
  await using sink = await sqliteSink()
  await using bus = await openSink(sink.place)
  const given = paymentsOf(accounts, 2)
  for (const prefix of ['first.', 'second.']) {
    await using source = await openSource(broker.bootstrap, prefix)
    await source.publishMany(given.map((payment) => payments.event(payment)))
    const consumer = await startBooking(source, bus, sink.place)
    if (prefix === 'first.') await until(async () => (await sink.rows()).length === given.length)
    else {
      const tasks = (await bus.status()).groups.flatMap((group) => group.tasks)
      const begun = tasks.filter(({ topic, position }) => topic === 'payments' && position !== undefined)
      assert.ok(begun.length > 0)
      const errors = () => consumer.tasks().flatMap(({ error }) => error ?? [])
      await until(() => errors().length === begun.length)
      for (const error of errors()) await failsWith('LOG_REGRESSED', Promise.reject(error))
      await requireExactlyOnce(sink, bus, given)
    }
    await consumer.stop()
  }
})
