import assert from 'node:assert/strict'
import type { Writable } from 'node:stream'
import { test } from 'node:test'
import type { SqlStatement, StatementAnswer, UnitTransaction } from '../../src/engine/engine.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { hasCode, openBus, topic } from '../../src/index.ts'
import { channels } from '../../src/runtime/channels.ts'
import { records, refuses } from '../../src/testing/conformance/records.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../support/until.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await sharedPostgres(18)
const never = new AbortController().signal

/*
 * Statements that give no rows have no mark of their own: what is to be kept of them is run again when one behind them
 * is undone.
 */

class Table {
  readonly #name: string
  readonly open: UnitTransaction

  constructor(name: string, open: UnitTransaction) {
    this.#name = name
    this.open = open
  }

  insert(n: unknown): SqlStatement {
    return { text: `insert into ${this.#name} values ($1)`, params: [n] }
  }

  insertGiving(n: number): SqlStatement {
    return { text: `insert into ${this.#name} values ($1) returning n`, params: [n] }
  }

  async ahead(...statements: SqlStatement[]): Promise<readonly StatementAnswer[]> {
    return await this.open.queryAhead!(statements)
  }

  async all(): Promise<unknown[]> {
    const rows = await this.open.query(`select n from ${this.#name} where n > $1 order by n`, [0])
    return rows.map(({ n }) => n)
  }

  /** In how many subtransactions the rows were written. */
  async marks(): Promise<number> {
    const [row] = await this.open.query(
      `select count(distinct xmin::text)::integer as n from ${this.#name} where n > $1`,
      [0],
    )
    return Number(row!.n)
  }
}

async function openTable(engines: Engines): Promise<Table> {
  const one = await engines.open()
  await one.declare()
  await one.publish(records(3))
  const open = await one.engine.begin(await one.lease(), never)
  const name = `"${engines.schema.name}".kept`
  await open.query(`create table ${name} (n integer)`, [])
  return new Table(name, open)
}

test('statements that give no rows share a mark; those behind one that gives rows have another', async () => {
  await using engines = new Engines(server)
  const table = await openTable(engines)
  await table.ahead(table.insert(1), table.insert(2))
  assert.equal(await table.marks(), 2, 'the server has not told yet what they give')
  await table.ahead(table.insert(3), table.insert(4), table.insert(5))
  assert.equal(await table.marks(), 3)
  const giving = await table.ahead(table.insert(6), table.insertGiving(7), table.insert(8), table.insert(9))
  assert.deepEqual(giving, [[], [{ n: 7 }], [], []])
  assert.equal(await table.marks(), 5)
  await table.open.rollback()
})

test('all that is sent together goes out in one write', async () => {
  await using engines = new Engines(server)
  const table = await openTable(engines)
  // The driver's own client: what it writes to its socket.
  const { stream } = (table.open.client as { connection: { stream: Writable } }).connection
  const write = stream.write.bind(stream)
  let writes = 0
  stream.write = (...given: unknown[]): boolean => {
    writes++
    return Reflect.apply(write, undefined, given)
  }
  const answers = await table.ahead(table.insert(1), table.insertGiving(2), table.insert(3))
  assert.deepEqual(answers, [[], [{ n: 2 }], []])
  assert.equal(writes, 1)
  stream.write = write
  await table.open.rollback()
})

test('undoing from any place keeps what is before it, whatever has a mark', async () => {
  await using engines = new Engines(server)
  const table = await openTable(engines)
  await table.ahead(table.insert(1), table.insertGiving(2))
  const row = [3, 4, 5, 6, 7, 8, 9].map((n) => (n === 5 ? table.insertGiving(n) : table.insert(n)))
  for (let from = row.length - 1; from >= 0; from--) {
    await table.ahead(...row)
    await table.open.restore(from)
    const kept = [1, 2, ...[3, 4, 5, 6, 7, 8, 9].slice(0, from)]
    assert.deepEqual(await table.all(), kept)
    for (let less = from - 1; less >= 0; less -= 2) {
      await table.open.restore(less)
      assert.deepEqual(await table.all(), kept.slice(0, 2 + less))
    }
    await table.open.restore(0)
  }
  assert.deepEqual(await table.all(), [1, 2])
  await table.open.rollback()
})

test('a statement that fails among others: those before it are kept, those behind it did not run', async () => {
  await using engines = new Engines(server)
  const table = await openTable(engines)
  await table.ahead(table.insert(1))
  for (const wrong of ['not a number', 'nor this']) {
    const answers = await table.ahead(...[1, 2, wrong, 4].map((n) => table.insert(n)))
    assert.deepEqual(answers.slice(0, 2), [[], []])
    assert.ok(answers[2] instanceof Error)
    assert.equal(answers[3], undefined)
    await table.open.restore(2)
    assert.deepEqual(await table.all(), [1, 1, 2])
    await table.ahead(table.insert(5), table.insert(6))
    await table.open.restore(1)
    assert.deepEqual(await table.all(), [1, 1, 2, 5])
    await table.open.restore(0)
    await table.ahead(table.insert(7))
    await table.open.query(
      `delete from "${engines.schema.name}".kept where ctid <> all (select min(ctid) from "${engines.schema.name}".kept where n > $1)`,
      [0],
    )
    assert.deepEqual(await table.all(), [1])
  }
  await table.open.rollback()
})

test('what cannot be run again ends the transaction: nothing of it is committed', async () => {
  await using engines = new Engines(server)
  const table = await openTable(engines)
  await table.open.query(`create sequence "${engines.schema.name}".once maxvalue 2`, [])
  const once = {
    text: `insert into "${engines.schema.name}".kept select nextval($1)`,
    params: [`"${engines.schema.name}".once`],
  }
  await table.ahead(once, table.insert(1))
  await table.ahead(once, table.insert(3), table.insert(4))
  await refuses('QUERY_FAILED', () => table.open.restore(2))
  await refuses('QUERY_FAILED', () => table.open.query('select $1::integer', [1]))
  await refuses('QUERY_FAILED', () => table.open.restore(0))
  await table.open.rollback()
})

const retry = { attempts: 3, baseDelayMs: 1, maxDelayMs: 4 }
const count = 300
const stepTopic = topic<{ key: string; n: number }>('steps', { partitions: 1, key: ({ key }) => key })

/** A bus with `count` events, and a table of the user's. */
async function openSteps() {
  const schema = freshSchema(server)
  const bus = await openBus({
    engine: postgres({ url: server.url, schema: schema.name }),
    topics: [stepTopic],
  })
  const table = `${schema.name}.step`
  const client = await openClient(server.url)
  await client.query(`create table ${table} (n integer)`)
  await bus.publishMany(Array.from({ length: count }, (_, n) => stepTopic.event({ key: `k${n}`, n })))
  return {
    bus,
    table,
    rows: async (): Promise<number[]> => {
      const result = await client.query<{ n: number }>(`select n from ${table} order by n`)
      return result.rows.map(({ n }) => n)
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await bus.stop()
      await client.end()
      await schema.drop()
    },
  }
}

test('handlers that fail among others: each row once, and nobody else runs again or is charged an attempt (X1, L3)', async () => {
  await using steps = await openSteps()
  const { bus, table } = steps
  let resets = 0
  const onReset = (): void => {
    resets++
  }
  channels.reset.subscribe(onReset)
  const attempts: number[][] = Array.from({ length: count }, () => [])
  const isPoison = (n: number): boolean => n % 50 === 25
  const isWrong = (n: number): boolean => n % 50 === 35
  const isFlaky = (n: number): boolean => n % 20 === 7
  bus.consume(stepTopic, { group: 'g', retry }, async ({ data: { n }, attempt }, tx) => {
    attempts[n]!.push(attempt)
    await tx.query(`insert into ${table} values ($1)`, [n])
    // The server refuses one; the driver cannot even send the other.
    const wrong = n % 100 === 35 ? 'not a number' : { big: 1n }
    if (isWrong(n)) await tx.query(`insert into ${table} values ($1)`, [wrong])
    if (n % 15 === 4) await tx.query(`insert into ${table} values ($1)`, [n + 1000])
    if (isPoison(n) || (isFlaky(n) && attempt < 3)) throw new Error('after its statements')
  })
  const isDead = (n: number): boolean => isPoison(n) || isWrong(n)
  const all = Array.from({ length: count }, (_, n) => n)
  const kept = all.filter((n) => !isDead(n))
  const expected = [...kept, ...kept.filter((n) => n % 15 === 4).map((n) => n + 1000)]
  const dead = all.filter(isDead)
  await until(async () => {
    const letters = await bus.deadLetters('g').list()
    return letters.length === dead.length && (await steps.rows()).length === expected.length
  })
  for (const n of all)
    assert.deepEqual(attempts[n], isDead(n) || isFlaky(n) ? [1, 2, 3] : [1], `attempts of event ${n}`)
  assert.deepEqual(await steps.rows(), expected)
  const letters = await bus.deadLetters('g').list()
  assert.deepEqual(
    letters.map(({ event, attempts: made }) => [(event.data as { n: number }).n, made]),
    dead.map((n) => [n, retry.attempts]),
  )
  assert.equal(resets, 0)
  channels.reset.unsubscribe(onReset)
})

test('a handler that catches the error of its statement and fails no more takes nobody else with it (X1)', async () => {
  await using steps = await openSteps()
  const { bus, table } = steps
  const caught = new Set<number>()
  bus.consume(stepTopic, { group: 'g', retry }, async ({ data: { n } }, tx) => {
    if (n % 60 === 30 && !caught.has(n)) {
      caught.add(n)
      const wrong = n % 120 === 30 ? 'not a number' : { big: 1n }
      await assert.rejects(tx.query(`insert into ${table} values ($1)`, [wrong]), (error) =>
        hasCode(error, 'QUERY_FAILED'),
      )
    } else await tx.query(`insert into ${table} values ($1)`, [n])
  })
  await until(async () => (await steps.rows()).length >= count)
  assert.deepEqual(
    await steps.rows(),
    Array.from({ length: count }, (_, n) => n),
  )
  assert.equal(caught.size, 5)
})
