import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { storeNames } from '../../src/engine/store-names.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, type LogEvent, openBus } from '../../src/index.ts'
import { type Gates, reportText } from '../../src/testing/history/index.ts'
import type { Place } from './crash-place.ts'
import { crashGroup, crashTopics, type Order, orders, payments, totals, usesSql } from './crash-topics.ts'

interface Sum {
  readonly n: number
  readonly sum: number
}

function open({ file }: Place): Promise<Bus> {
  return openBus({ engine: sqlite({ file }), topics: crashTopics })
}

/**
 * Everything the promises say about a file whose program was just stopped by force. Nothing was published again yet,
 * so a lost event cannot come back to its place. Answers how many orders there are.
 */
export async function checkAfterFault(place: Place): Promise<number> {
  await using bus = await open(place)
  await place.probe.opened(bus, crashTopics)
  const { log, paid } = await readLogs(bus, place)
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
  checkOrder(log)
  await checkEffects(bus, await handledOf(bus, log), place)
  return log.length
}

/** What they say about a file whose programs were stopped, and the last of which ran to its end. */
export async function checkAtEnd(place: Place): Promise<void> {
  await using bus = await open(place)
  await place.probe.opened(bus, crashTopics)
  const { log, paid } = await readLogs(bus, place)
  assert.equal(log.length, place.published, 'every order once: none lost (D1), none doubled (N1, N4)')
  assert.equal(new Set(log.map(({ id }) => id)).size, log.length)
  assert.equal(paid.length, place.published / 4, 'calls over two topics came whole (P3)')
  checkOrder(log)
  await checkEffects(bus, log, place)
  await observeEffects(bus, log, place)
}

/** The checker's word on all that the programs of a place were told (faults.md section 3). */
export function checkRecorded(place: Place, gates: Gates): void {
  const report = place.judge({ gates })
  assert.equal(report.verdict, 'valid', reportText(report))
}

async function readLogs(bus: Bus, { probe }: Place) {
  return { log: await probe.readAll(bus, orders), paid: await probe.readAll(bus, payments) }
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
  for await (const { data } of bus.read(totals)) {
    actual.set(data.customer, [...(actual.get(data.customer) ?? []), { n: data.n, sum: data.sum }])
  }
  assert.deepEqual(sorted(actual), sorted(expected), 'emitted once each, in order')
  const sums = new Map([...expected].map(([customer, list]) => [customer, list.at(-1)!.sum]))
  assert.deepEqual(sorted(await readSums(bus)), sorted(sums), 'state')
  assert.deepEqual(
    ledgerOf(place),
    handled
      .map(({ data }) => data.n)
      .filter((n) => usesSql(place.scenario, n))
      .sort((a, b) => a - b),
    'the user’s rows, each once',
  )
}

async function readSums(bus: Bus): Promise<Map<string, number>> {
  const sums = new Map<string, number>()
  for (let partition = 0; partition < orders.partitions; partition++) {
    const task = { group: crashGroup, topic: orders.name, partition }
    const entries = await bus.engine.scanState({ task, store: 'sum', after: undefined, limit: 100 })
    for (const { key, value } of entries) sums.set(key, Number(value))
  }
  return sums
}

/** For the history: each emitted total is an effect of its order, and the sums are what the sink comes to. */
async function observeEffects(bus: Bus, log: readonly LogEvent<Order>[], place: Place): Promise<void> {
  const sink = place.observer()
  const byNumber = new Map(log.map((event) => [event.data.n, event]))
  const where = { g: crashGroup, topic: orders.name, sink: totals.name }
  for await (const { data } of bus.read(totals)) {
    const { partition: p, offset: off, key } = byNumber.get(data.n)!
    sink.observed('effect', { ...where, p, off, key })
  }
  for (const [key, sum] of await readSums(bus)) sink.observed('ledger', { ...where, key, sum })
  sink.note('phase', { name: 'final' })
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
