import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { storageFailure, wrapEngine } from '../support/wrap-engine.ts'
import { countAndEmit, counts, group, lane, openOn, untilCaughtUp, untilCounted, wordsOf } from './words.ts'

const sqliteWorld = worlds.find(({ name }) => name === 'sqlite')!
const memoryWorld = worlds.find(({ name }) => name === 'memory')!
const create = 'create table if not exists ledger (key text, n integer)'

describe('tx.query', () => {
  test('commits with the unit; a failing attempt takes back its own statements only', async () => {
    await using bus = await openOn(sqliteWorld.create().engine())
    const random = new SeededRandom(9)
    bus.consume(lane, group('g'), async (event, tx) => {
      await tx.query(create)
      await tx.query('insert into ledger values (?, ?)', [event.data.key, event.data.n])
      await countAndEmit(event, tx)
      if (random.fraction() < 0.3) throw new Error('after its statements')
    })
    await bus.publishMany(wordsOf(4, 20).map((word) => lane.event(word)))
    await untilCounted(bus, 80)
    await untilCaughtUp(bus, 'g')

    let rows: readonly unknown[] = []
    bus.consume(lane, group('look', { startAt: 'latest' }), async (_event, tx) => {
      rows = await tx.query(
        "select key, n, count(*) as times from ledger where key <> 'look' group by key, n",
      )
    })
    await untilCaughtUp(bus, 'look')
    await bus.publish(lane, { key: 'look', n: 0 })
    await until(() => rows.length > 0)

    assert.equal(rows.length, 80)
    assert.ok(rows.every((row) => (row as { times: number }).times === 1))
  })

  test('X1 X2: where the commit fails, statements, state, emits and position all fall together', async () => {
    const inner = sqliteWorld.create().engine()
    const random = new SeededRandom(4)
    const engine = wrapEngine(inner, {
      begin: async (lease, signal) => {
        const transaction = await inner.begin(lease, signal)
        return new Proxy(transaction, {
          get(target, name) {
            const member: unknown = Reflect.get(target, name, target)
            if (name !== 'commit') return typeof member === 'function' ? member.bind(target) : member
            return async (unit: Parameters<typeof transaction.commit>[0]) => {
              const chance = random.fraction()
              if (chance < 0.25) {
                await target.rollback()
                throw storageFailure(chance < 0.1 ? 'not-applied' : 'unknown')
              }
              await target.commit(unit)
              if (chance < 0.4) throw storageFailure('unknown')
            }
          },
        })
      },
    })
    await using bus = await openOn(engine)
    let sum: unknown
    bus.consume(lane, group('g'), async (event, tx) => {
      await tx.query(create)
      await tx.query('insert into ledger values (?, ?)', [event.data.key, event.data.n])
      await countAndEmit(event, tx)
      if (event.data.n === 99)
        sum = await tx.query('select count(*) as all_rows, count(distinct key || n) as different from ledger')
    })
    for (const word of wordsOf(4, 25)) await bus.publish(lane, word)
    await untilCounted(bus, 100)
    await untilCaughtUp(bus, 'g')
    await bus.publish(lane, { key: 'end', n: 99 })
    await untilCaughtUp(bus, 'g')

    const { all_rows, different } = (sum as { all_rows: number; different: number }[])[0]!
    assert.deepEqual([all_rows, different], [101, 101])
    assert.equal((await readAll(bus, counts)).length, 101)
  })

  test('a wrong statement is QUERY_FAILED, and the event goes its way without it', async () => {
    await using bus = await openOn(sqliteWorld.create().engine())
    bus.consume(lane, group('g', { retry: { attempts: 2, baseDelayMs: 1 } }), async (event, tx) => {
      await countAndEmit(event, tx)
      if (event.data.n === 1) await tx.query('select nonsense from nowhere')
    })
    for (let n = 0; n < 3; n++) await bus.publish(lane, { key: 'k0', n })
    await untilCaughtUp(bus, 'g')

    const [letter] = await bus.deadLetters('g').list()
    assert.deepEqual([letter?.offset, letter?.error.code], [1, 'QUERY_FAILED'])
    assert.deepEqual(
      (await readAll(bus, counts)).map(({ data }) => data.count),
      [1, 2],
    )
  })

  test('a handler that times out inside SQL lets the next one have it', async () => {
    await using bus = await openOn(sqliteWorld.create().engine())
    let attempts = 0
    bus.consume(lane, group('g', { handlerTimeoutMs: 80 }), async (event, tx) => {
      await tx.query(create)
      await tx.query('insert into ledger values (?, ?)', [event.data.key, event.data.n])
      if (event.data.n === 0 && ++attempts === 1) await new Promise(() => undefined)
      const rows = await tx.query('select count(*) as n from ledger')
      tx.emit(counts, { key: event.data.key, n: event.data.n, count: Number(rows[0]?.n) })
    })
    await bus.publishMany([lane.event({ key: 'a', n: 0 }), lane.event({ key: 'b', n: 1 })])
    await untilCounted(bus, 2)
    await untilCaughtUp(bus, 'g')
    const seen = (await readAll(bus, counts)).map(({ data }) => data.count)
    assert.equal(Math.max(...seen), 2)
    // The group leaves a handler behind that never returns: the stop must not wait for it.
    await bus.stop({ deadlineMs: 100 })
  })

  test('on an engine without SQL it is UNSUPPORTED', async () => {
    await using bus = await openOn(memoryWorld.create().engine())
    bus.consume(lane, group('g', { retry: { attempts: 1 } }), async (_event, tx) => {
      await tx.query('select 1')
    })
    await bus.publish(lane, { key: 'a', n: 0 })
    await until(async () => (await bus.deadLetters('g').list())[0]?.error.code === 'UNSUPPORTED')
  })
})
