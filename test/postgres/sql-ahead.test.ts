import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Engine, SqlStatement } from '../../src/engine/engine.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { hasCode, openBus, topic } from '../../src/index.ts'
import { limits } from '../../src/limits.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { Slot } from '../../src/runtime/slot.ts'
import { SqlSession } from '../../src/runtime/sql-session.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { until } from '../support/until.ts'
import { wrapEngine, wrapTransaction } from '../support/wrap-engine.ts'
import { Engines } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await sharedPostgres(18)
const never = new AbortController().signal
const actors = 600
const inFlightMax = 16

/** What round trips came to: in how many rows so many statements were sent. */
interface Sent {
  rows: number
  statements: number
}

function counting(engine: Engine, sent: Sent): Engine {
  return wrapEngine(engine, {
    begin: async (lease, signal) => {
      const transaction = await engine.begin(lease, signal)
      return wrapTransaction(transaction, {
        queryAhead: (statements) => {
          sent.rows++
          sent.statements += statements.length
          return transaction.queryAhead!(statements)
        },
      })
    },
  })
}

/** Events that use SQL as handlers do, each with its own idea of it; what they see must be as if they ran one by one. */
class Actors {
  readonly #session: SqlSession
  readonly #random: SeededRandom
  readonly #table: string
  /** The counter after all that was kept. */
  kept = 0
  outcomes = { kept: 0, failed: 0, early: 0 }

  constructor(session: SqlSession, random: SeededRandom, table: string) {
    this.#session = session
    this.#random = random
    this.#table = table
  }

  async run(n: number): Promise<void> {
    const slot = new Slot({ offset: n, key: `k${n}`, id: `e${n}`, appendTime: 0 } as never)
    const fate = this.#random.fraction()
    const isWrong = fate < 0.04
    const statement = isWrong ? { text: 'select 1 / $1::integer', params: [0] } : this.#count()
    const entered = this.#query(slot, statement)
    if (fate > 0.95) {
      await this.#pause()
      this.outcomes.early++
      const [, answer] = await Promise.all([this.#session.leave(slot, false), entered.catch((e) => e)])
      if (answer instanceof Error) assert.ok(hasCode(answer, 'TX_CLOSED'), String(answer))
      return
    }
    let statements = 0
    let isFailing = this.#random.fraction() < 0.05
    try {
      const rows = await entered
      assert.deepEqual(rows, [{ n: this.kept + ++statements }])
      await this.#pause()
      while (this.#random.fraction() < 0.1) {
        assert.deepEqual(await this.#query(slot, this.#count()), [{ n: this.kept + ++statements }])
      }
    } catch (error) {
      if (!isWrong || !hasCode(error, 'QUERY_FAILED')) throw error
      isFailing = true
    }
    this.outcomes[isFailing ? 'failed' : 'kept']++
    if (!isFailing) this.kept += statements
    await this.#session.leave(slot, !isFailing)
  }

  async #query(slot: Slot, statement: SqlStatement): Promise<unknown> {
    return (await this.#session.enter(slot, statement)) ?? (await this.#session.query(statement))
  }

  #count(): SqlStatement {
    return { text: `update ${this.#table} set n = n + $1 returning n`, params: [1] }
  }

  async #pause(): Promise<void> {
    for (let turns = this.#random.fraction() * 4; turns > 1; turns--) await turn()
  }
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`statements that are sent ahead of their turn change nothing that anybody sees (X1, seed ${seed})`, async () => {
    await using engines = new Engines(server)
    const one = await engines.open()
    await one.declare()
    const lease = await one.lease()
    const sent = { rows: 0, statements: 0 }
    const session = new SqlSession(counting(one.engine, sent), lease, never, () => 0)
    const table = `${engines.schema.name}.counter`
    await using client = await openClient(server.url)
    await client.query(`create table ${table} (n integer); insert into ${table} values (0)`)
    const all = new Actors(session, new SeededRandom(seed), table)
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < actors) await all.run(next++)
    }
    await Promise.all(Array.from({ length: inFlightMax }, lane))
    assert.equal(session.busy, false)
    const transaction = session.takeTransaction()!
    assert.deepEqual(await transaction.query(`select n from ${table}`, []), [{ n: all.kept }])
    await transaction.rollback()
    const { kept, failed, early } = all.outcomes
    assert.ok(kept > 100 && failed > 20 && early > 10, JSON.stringify(all.outcomes))
    assert.ok(sent.statements > sent.rows * 2, `${sent.statements} statements in ${sent.rows} rows`)
  })
}

/** Statements that were sent ahead for `count` events, each with as many statements as `statementsOf` says. */
async function sentFor(count: number, statementsOf: (n: number) => number): Promise<Sent> {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  const sent = { rows: 0, statements: 0 }
  const session = new SqlSession(counting(one.engine, sent), await one.lease(), never, () => 0)
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next++
      const slot = new Slot({ offset: n, key: `k${n}`, id: `e${n}`, appendTime: 0 } as never)
      const statement = { text: 'select $1::integer as n', params: [n] }
      for (let left = statementsOf(n); left > 0; left--) {
        const rows = (await session.enter(slot, statement)) ?? (await session.query(statement))
        assert.deepEqual(rows, [{ n }])
      }
      if (!session.pass(slot)) await session.leave(slot, true)
    }
  }
  await Promise.all(Array.from({ length: inFlightMax }, lane))
  await session.takeTransaction()!.rollback()
  return sent
}

/** Three events whose statements were sent together by a clock of the test's; the first has its turn. */
async function threeAhead(engines: Engines, clock: { nowMs: number }) {
  const one = await engines.open()
  await one.declare()
  const table = `${engines.schema.name}.row`
  await using client = await openClient(server.url)
  await client.query(`create table ${table} (n integer)`)
  const sent = { rows: 0, statements: 0 }
  const session = new SqlSession(counting(one.engine, sent), await one.lease(), never, () => clock.nowMs)
  const slots = [0, 1, 2, 3].map(
    (n) => new Slot({ offset: n, key: `k${n}`, id: `e${n}`, appendTime: 0 } as never),
  )
  const answered: number[] = []
  const enter = (n: number): Promise<unknown> =>
    session
      .enter(slots[n]!, { text: `insert into ${table} values ($1)`, params: [n] })
      .then(() => answered.push(n))
  const entered = [enter(0), enter(1), enter(2)]
  await entered[0]
  assert.deepEqual(sent, { rows: 1, statements: 3 })
  return { session, slots, sent, entered, enter, answered, table }
}

test('an old transaction takes nobody else; those whose statements were sent have their turns', async () => {
  await using engines = new Engines(server)
  const clock = { nowMs: 0 }
  const { session, slots, sent, entered, enter, answered, table } = await threeAhead(engines, clock)
  clock.nowMs = limits.sqlUnitAgeMsMax
  const fourth = enter(3)
  for (const n of [0, 1, 2]) {
    await entered[n]
    assert.ok(session.pass(slots[n]!))
  }
  assert.equal(session.busy, false)
  assert.deepEqual([answered, sent.statements], [[0, 1, 2], 3], 'nothing was undone and sent again')
  const old = session.takeTransaction()!
  assert.deepEqual(await old.query(`select count(*)::integer as n from ${table}`, []), [{ n: 3 }])
  session.thaw()
  await fourth
  assert.ok(session.pass(slots[3]!))
  await session.takeTransaction()!.rollback()
  await old.rollback()
})

test('an overdue transaction ends with the event that has it; the statements behind it wait for the next', async () => {
  await using engines = new Engines(server)
  const clock = { nowMs: 0 }
  const { session, slots, sent, entered, answered, table } = await threeAhead(engines, clock)
  clock.nowMs = limits.sqlUnitOverdueMs
  assert.equal(session.pass(slots[0]!), false)
  await session.leave(slots[0]!, true)
  assert.equal(session.busy, false)
  assert.deepEqual(answered, [0])
  const old = session.takeTransaction()!
  assert.deepEqual(await old.query(`select n from ${table}`, []), [{ n: 0 }])
  await old.rollback()
  session.thaw()
  for (const n of [1, 2]) {
    await entered[n]
    assert.ok(session.pass(slots[n]!))
  }
  assert.deepEqual(sent, { rows: 2, statements: 5 })
  await session.takeTransaction()!.rollback()
})

test('where each handler runs several statements, theirs are not sent ahead to be undone', async () => {
  const count = 100
  const several = await sentFor(count, () => 2)
  assert.ok(several.statements < count * 1.5, `${several.statements} for ${count} events`)
  const one = await sentFor(count, () => 1)
  assert.ok(one.rows < count / 8, `${one.rows} rows for ${count} events`)
  // The first ones run two each: what comes then is sent together again.
  const mixed = await sentFor(count * 4, (n) => (n < count ? 2 : 1))
  assert.ok(mixed.rows < count * 1.5, `${mixed.rows} rows for ${count * 4} events`)
})

test('handlers that read and write one row of the user: no update is lost, whatever fails or is asked at once (X1)', async () => {
  const schema = freshSchema(server)
  const steps = topic<{ key: string }>('steps', { partitions: 1, key: ({ key }) => key })
  await using bus = await openBus({
    engine: postgres({ url: server.url, schema: schema.name }),
    topics: [steps],
  })
  const table = `${schema.name}.counter`
  await using client = await openClient(server.url)
  await client.query(`create table ${table} (id integer, n integer); insert into ${table} values (1, 0)`)
  const count = 200
  await bus.publishMany(Array.from({ length: count }, (_, n) => steps.event({ key: `k${n}` })))
  const random = new SeededRandom(7)
  let swallowed = 0
  const retry = { attempts: 50, baseDelayMs: 1, maxDelayMs: 4 }
  bus.consume(steps, { group: 'g', retry }, async (_event, tx) => {
    const look = tx.query(`select n from ${table} where id = $1`, [1])
    const [rows] = await Promise.all([look, tx.query(`select $1::integer`, [1])])
    await tx.query(`update ${table} set n = $1`, [Number(rows[0]!.n) + 1])
    if (random.fraction() < 0.2) throw new Error('after its statements')
    if (swallowed < 3 && random.fraction() < 0.05) {
      swallowed++
      // The server has given the transaction up; a handler that hides it must not take others' rows with it.
      await tx.query('select 1 / $1::integer', [0]).catch(() => undefined)
    }
  })
  await until(async () => {
    const { rows } = await client.query<{ n: number }>(`select n from ${table}`)
    return rows[0]!.n === count
  })
  assert.equal(swallowed, 3)
  await bus.stop()
  await schema.drop()
})
