import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeNames } from '../../src/engine/store-names.ts'
import { postgresLimits } from '../../src/engines/postgres/postgres-limits.ts'
import { StateLog, type StateLogRow } from '../../src/engines/postgres/state-log.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { SeededRandom } from '../../src/testing/conformance/seeded-random.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { Engines, isWrite } from './engines.ts'
import { openClient } from './sql-client.ts'

const server = await sharedPostgres(18)
const { stateLogBytesMax, stateLogKeysMin, stateLogRowsMax } = postgresLimits

const keysOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `customer-${index}`)

/** A log, and what a server would have stored. */
class ModelStore {
  log = new StateLog()
  readonly table = new Map<string, string>()
  rows: StateLogRow[] = []
  moved = 0
  #newest = 0
  #clock = 0

  write(keys: readonly string[], values: readonly (string | undefined)[]): void {
    const plan = this.log.plan({ store: 's', keys, values }, ++this.#clock, true)
    for (const [index, key] of plan.keys.entries()) {
      const value = plan.values[index]
      if (value === undefined) this.table.delete(key)
      else this.table.set(key, value)
    }
    if (plan.added !== undefined) {
      assert.ok(plan.added.seq > this.#newest)
      this.#newest = plan.added.seq
      this.rows.push(plan.added)
    }
    assert.deepEqual(plan.removed, this.rows.slice(0, plan.removed.length))
    this.rows = this.rows.slice(plan.removed.length)
    this.moved += plan.keys.length
    this.log.apply(plan)
    if (plan.added !== undefined) assert.ok(this.rows.length <= stateLogRowsMax)
    assert.ok(this.log.bytes <= stateLogBytesMax)
    assert.equal(
      this.log.bytes,
      this.rows.reduce((sum, { bytes }) => sum + bytes, 0),
    )
  }

  /** Another owner. */
  reload(): void {
    this.log = new StateLog()
    for (const row of this.rows) this.log.load(row)
  }

  get whole(): ReadonlyMap<string, string> {
    const whole = new Map(this.table)
    for (const { keys, values } of this.rows) {
      for (const [index, key] of keys.entries()) {
        const value = values[index]
        if (value === undefined) whole.delete(key)
        else whole.set(key, value)
      }
    }
    return whole
  }
}

test('whatever is written, the table and the rows of the log together are the truth, and the log stays small', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed)
    const store = new ModelStore()
    const truth = new Map<string, string>()
    const all = keysOf(random.pick([50, 300, 5_000]))
    for (let unit = 0; unit < 150; unit++) {
      const size = random.pick([1, stateLogKeysMin - 1, stateLogKeysMin, 900])
      const keys = [...new Set(Array.from({ length: size }, () => random.pick(all)))]
      const text = 'x'.repeat(random.pick([1, 1, 1, 5_000]))
      const values = keys.map((key) => (random.chance(10) ? undefined : `${key} ${unit} ${text}`))
      store.write(keys, values)
      for (const [index, key] of keys.entries()) {
        if (values[index] === undefined) truth.delete(key)
        else truth.set(key, values[index])
      }
      if (random.chance(5)) store.reload()
      assert.deepEqual(store.whole, truth, `seed ${seed}, unit ${unit}`)
    }
  }
})

test('keys that are written again and again leave the log hardly ever; keys that are not make it pause', () => {
  const hot = new ModelStore()
  const cold = new ModelStore()
  const keys = keysOf(500)
  const units = 1_000
  for (let unit = 0; unit < units; unit++) {
    const values = keys.map(() => String(unit))
    hot.write(keys, values)
    cold.write(
      keys.map((key) => `${key} of unit ${unit}`),
      values,
    )
  }
  assert.equal(hot.moved, 0)
  assert.ok(cold.moved > (units - stateLogRowsMax) * keys.length)
  assert.deepEqual(cold.rows, [])
})

test('small units empty a log, and write no more of it than its last values', () => {
  const store = new ModelStore()
  const keys = keysOf(500)
  for (let unit = 0; unit < 20; unit++)
    store.write(
      keys,
      keys.map(() => String(unit)),
    )
  assert.equal(store.rows.length, 20)
  let units = 0
  for (; store.rows.length > 0; units++) store.write(['other'], [String(units)])
  assert.ok(units <= 20)
  assert.ok(store.moved <= keys.length + units)
})

const many = keysOf(300)

/** One unit that changes all of them; `value`: undefined deletes. */
async function writeAll(
  one: Instance,
  lease: Parameters<Instance['commit']>[0],
  from: number,
  value: string | undefined,
): Promise<void> {
  const state = [{ store: 'sums', keys: many, values: many.map(() => value) }]
  await one.commit(lease, from === 0 ? undefined : from, from + 1, { state })
}

test('a unit whose reply was lost is in the log or not, and what follows is right in both cases (U1, X1)', async () => {
  await using proxy = await startPostgresProxy(server)
  await using engines = new Engines(server)
  const one = await engines.open({ url: proxy.url })
  await one.declare()
  const lease = await one.lease()
  let position = 0
  for (let round = 0; round < 20; round++) {
    if (round % 4 === 2) proxy.trap({ kind: 'drop-reply', statement: isWrite })
    if (round % 4 === 3) proxy.trap({ kind: 'cut-request', statement: isWrite })
    const keys = round % 5 === 4 ? many.slice(0, 9) : many
    const state = [{ store: 'sums', keys, values: keys.map(() => String(round)) }]
    await one.commit(lease, position || undefined, position + 1, { state }).catch(() => undefined)
    const before = position
    position = (await one.engine.load(lease)).position ?? 0
    const [value] = await one.engine.readState(lease.task, 'sums', ['customer-7'])
    if (position > before) assert.equal(value, String(round), `round ${round}`)
    else assert.notEqual(value, String(round), `round ${round}`)
  }
  assert.ok(position > 10 && position < 20)
})

test('who owned a store reads what the next owner wrote, although it knows an older log', async () => {
  await using engines = new Engines(server)
  const [one, two] = [await engines.open(), await engines.open()]
  await one.declare()
  const first = await one.join('billing', { orders: 1 })
  await first.holds(1)
  const { task } = first.lease('orders', 0)
  await writeAll(one, first.lease('orders', 0), 0, 'of the first')
  assert.deepEqual(await one.engine.readState(task, 'sums', ['customer-7', 'nobody']), [
    'of the first',
    undefined,
  ])
  await first.leave()
  const second = await two.join('billing', { orders: 1 })
  await second.holds(1)
  await writeAll(two, second.lease('orders', 0), 1, 'of the second')
  assert.deepEqual(await one.engine.readState(task, 'sums', ['customer-7', 'nobody']), [
    'of the second',
    undefined,
  ])
  await two.commit(second.lease('orders', 0), 2, 3, {
    state: [{ store: 'sums', keys: ['nobody'], values: ['somebody'] }],
  })
  assert.deepEqual(await one.engine.readState(task, 'sums', ['customer-7', 'nobody']), [
    'of the second',
    'somebody',
  ])
})

test('dead letters are counted, wherever they are', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  const lease = await one.lease()
  const dead = async () => (await one.engine.status()).groups[0]!.deadLetters
  const write = async (from: number, count: number, value: string | undefined) => {
    const keys = keysOf(count)
    await one.commit(lease, from || undefined, from + 1, {
      state: [{ store: storeNames.deadLetters, keys, values: keys.map(() => value) }],
    })
  }
  await write(0, 5, '{}')
  assert.equal(await dead(), 5)
  await write(1, 300, '{}')
  assert.equal(await dead(), 300)
  await write(2, 290, undefined)
  assert.equal(await dead(), 10)
})

test('a write that does not know of the log is refused, not hidden behind it', async () => {
  await using engines = new Engines(server)
  const one = await engines.open()
  await one.declare()
  const lease = await one.lease()
  await writeAll(one, lease, 0, '1')
  await using client = await openClient(server.url)
  const { name } = engines.schema
  const store = `(select id from ${name}.store where name = 'sums')`
  await assert.rejects(
    client.query(`select ${name}.write_state(array[${store}], array['customer-7'], array['2'], 0)`),
    /a store has a log that its owner does not know of/,
  )
  await client.query(`update ${name}.state_log set seq = seq + 1`)
  await assert.rejects(writeAll(one, lease, 1, '2'), /the log of a store is not as its owner left it/)
  await writeAll(one, lease, 1, '3')
  assert.deepEqual(await one.engine.readState(lease.task, 'sums', ['customer-7']), ['3'])
})
