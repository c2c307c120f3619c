import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { storeNames } from '../../src/engine/store-names.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, type LogEvent, openBus } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import type { Place } from './crash-place.ts'
import { crashEvents, crashGroup, type Order, orders, payments, totals, usesSql } from './crash-topics.ts'

interface Sum {
  readonly n: number
  readonly sum: number
}

function open({ file }: Place): Promise<Bus> {
  return openBus({ engine: sqlite({ file }), topics: [orders, payments, totals] })
}

/**
 * Everything the promises say about a file whose program was just killed. Nothing was published again yet, so a
 * lost event cannot come back to its place.
 */
export async function checkAfterKill(place: Place): Promise<void> {
  await using bus = await open(place)
  const log = await readAll(bus, orders)
  const paid = await readAll(bus, payments)
  assert.deepEqual(
    log.map(({ data }) => data.n).sort((a, b) => a - b),
    log.map((_, index) => index),
    'what is left is the beginning of what was published, each once (D5, N1)',
  )
  for (const { data } of paid) {
    const whole = log.filter(({ data: { n } }) => n === data.n + 2 || n === data.n + 3).length
    assert.equal(whole, 2, `the call of payment-${data.n} came whole (P3)`)
  }
  assert.equal(paid.length, Math.floor(log.length / 4), 'and the other way round')
  checkAcks(place, log, paid)
  checkOrder(log)
  await checkEffects(bus, await handledOf(bus, log), place)
}

/** What they say about a file whose program was killed, then ran to its end. */
export async function checkAtEnd(place: Place): Promise<void> {
  await using bus = await open(place)
  const log = await readAll(bus, orders)
  assert.equal(log.length, crashEvents, 'every order once: none lost (D1), none doubled (N1, N4)')
  assert.equal(new Set(log.map(({ id }) => id)).size, crashEvents)
  const paid = await readAll(bus, payments)
  assert.equal(paid.length, crashEvents / 4, 'calls over two topics came whole (P3)')
  checkAcks(place, log, paid)
  checkOrder(log)
  await checkEffects(bus, log, place)
}

/** An acknowledged event is where its receipt said, also the one of a retry (D1, N1). */
function checkAcks({ acks }: Place, log: readonly LogEvent[], paid: readonly LogEvent[]): void {
  if (!existsSync(acks)) return
  const places = new Map([...log, ...paid].map((event) => [event.id, `${event.partition}/${event.offset}`]))
  for (const line of readFileSync(acks, 'utf8').split('\n').filter(Boolean)) {
    const { topic, n, partition, offset } = JSON.parse(line)
    const id = topic === 'orders' ? `order-${n}` : `payment-${n}`
    assert.equal(places.get(id), `${partition}/${offset}`, `${id} is where it was acknowledged`)
  }
}

/** One producer, one partition: the order of its calls (P2). */
function checkOrder(log: readonly LogEvent<Order>[]): void {
  const last = new Map<number, number>()
  for (const { partition, data } of log) {
    assert.ok(data.n > (last.get(partition) ?? -1), `order-${data.n} in the order of the calls`)
    last.set(partition, data.n)
  }
}

/** What the group says it has handled: all below its position, and what it finished ahead of that. */
async function handledOf(bus: Bus, log: readonly LogEvent<Order>[]): Promise<LogEvent<Order>[]> {
  const group = (await bus.status()).groups.find((candidate) => candidate.group === crashGroup)
  const handled: LogEvent<Order>[] = []
  for (let partition = 0; partition < orders.partitions; partition++) {
    const position = group?.tasks.find((task) => task.partition === partition)?.position ?? 0
    const task = { group: crashGroup, topic: orders.name, partition }
    const [stored] = await bus.engine.readState(task, storeNames.finished, [''])
    const ahead: [from: number, to: number][] = stored === undefined ? [] : JSON.parse(stored)
    const isHandled = (offset: number): boolean =>
      offset < position || ahead.some(([from, to]) => offset >= from && offset < to)
    handled.push(...log.filter((event) => event.partition === partition && isHandled(event.offset)))
  }
  return handled
}

/** Emits, state and the user's rows are what a fold over the handled events gives, in the order of each key (X1, O1). */
async function checkEffects(bus: Bus, handled: readonly LogEvent<Order>[], place: Place): Promise<void> {
  const expected = new Map<string, Sum[]>()
  for (const { data } of handled) {
    const before = expected.get(data.customer) ?? []
    const sum = (before.at(-1)?.sum ?? 0) + data.amount
    expected.set(data.customer, [...before, { n: data.n, sum }])
  }
  const actual = new Map<string, Sum[]>()
  for (const { data } of await readAll(bus, totals)) {
    actual.set(data.customer, [...(actual.get(data.customer) ?? []), { n: data.n, sum: data.sum }])
  }
  assert.deepEqual(sorted(actual), sorted(expected), 'emitted once each, in order')
  const state = new Map<string, number>()
  for (let partition = 0; partition < orders.partitions; partition++) {
    const task = { group: crashGroup, topic: 'orders', partition }
    const entries = await bus.engine.scanState({ task, store: 'sum', after: undefined, limit: 100 })
    for (const { key, value } of entries) state.set(key, Number(value))
  }
  const sums = new Map([...expected].map(([customer, list]) => [customer, list.at(-1)!.sum]))
  assert.deepEqual(sorted(state), sorted(sums), 'state')
  assert.deepEqual(
    ledgerOf(place),
    handled
      .map(({ data }) => data.n)
      .filter(usesSql)
      .sort((a, b) => a - b),
    'the user’s rows, each once',
  )
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

function ledgerOf({ file }: Place): number[] {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const exists = database.prepare("select 1 from sqlite_schema where name = 'ledger'").get()
    if (exists === undefined) return []
    return database
      .prepare('select n from ledger order by n')
      .all()
      .map(({ n }) => Number(n))
  } finally {
    database.close()
  }
}
