import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type CrashPoint, crashPointNames } from '../../src/engines/sqlite/crash-points.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, type LogEvent, openBus, type Topic } from '../../src/index.ts'
import { crashEvents, crashGroup, type Order, orders, payments, totals, usesSql } from './crash-topics.ts'

const scenario = fileURLToPath(new URL('./scenario.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'semel-crash-'))
/** Early, when much is created, and later, in full swing. Fewer transactions hold user SQL. */
const hitsOf = (name: CrashPoint): readonly number[] => (name.startsWith('session') ? [1, 4] : [2, 6, 14])
let runs = 0

after(() => rmSync(folder, { recursive: true, force: true }))

interface Place {
  readonly file: string
  readonly acks: string
}

function newPlace(): Place {
  runs++
  return { file: join(folder, `${runs}.db`), acks: join(folder, `${runs}.acks`) }
}

/** One life of the program; answers the signal that ended it. */
async function live({ file, acks }: Place, crashAt = ''): Promise<NodeJS.Signals | null> {
  const env = {
    ...process.env,
    SEMEL_CRASH_AT: crashAt,
    NODE_COMPILE_CACHE: join(tmpdir(), 'semel-compile-cache'),
  }
  const child = spawn(process.execPath, [scenario, file, acks], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += String(chunk)
  })
  const [code, signal] = await once(child, 'exit')
  assert.ok(signal !== null || code === 0, `the program ended with ${code}: ${errors}`)
  return signal
}

async function readAll<T>(bus: Bus, topic: Topic<T>): Promise<LogEvent<T>[]> {
  const events: LogEvent<T>[] = []
  for await (const event of bus.read(topic)) events.push(event)
  return events
}

/** Everything the promises say about a file whose program was killed and then ran to its end. */
async function check({ file, acks }: Place): Promise<void> {
  await using bus = await openBus({ engine: sqlite({ file }), topics: [orders, payments, totals] })
  const log = await readAll(bus, orders)
  assert.equal(log.length, crashEvents, 'every order once: none lost (D1), none doubled (N1, N4)')
  assert.equal(new Set(log.map(({ id }) => id)).size, crashEvents)
  const paid = await readAll(bus, payments)
  assert.equal(paid.length, crashEvents / 4, 'calls over two topics came whole (P3)')
  checkAcks(acks, new Map([...log, ...paid].map((event) => [event.id, `${event.partition}/${event.offset}`])))
  await checkEffects(bus, log)
  checkLedger(file, log)
}

/** An acknowledged event is where its receipt said, also the one of a retry (N1). */
function checkAcks(acks: string, places: ReadonlyMap<string, string>): void {
  if (!existsSync(acks)) return
  for (const line of readFileSync(acks, 'utf8').split('\n').filter(Boolean)) {
    const { topic, n, partition, offset } = JSON.parse(line)
    const id = topic === 'orders' ? `order-${n}` : `payment-${n}`
    assert.equal(places.get(id), `${partition}/${offset}`, `${id} is where it was acknowledged`)
  }
}

/** Emits and state are what a fold over the log gives, in the order of each key (X1, O1). */
async function checkEffects(bus: Bus, log: readonly LogEvent<Order>[]): Promise<void> {
  const sums = new Map<string, number>()
  const expected = new Map<string, { n: number; sum: number }[]>()
  for (const { data } of log) {
    const sum = (sums.get(data.customer) ?? 0) + data.amount
    sums.set(data.customer, sum)
    expected.set(data.customer, [...(expected.get(data.customer) ?? []), { n: data.n, sum }])
  }
  const actual = new Map<string, { n: number; sum: number }[]>()
  for (const { data } of await readAll(bus, totals)) {
    actual.set(data.customer, [...(actual.get(data.customer) ?? []), { n: data.n, sum: data.sum }])
  }
  for (const [customer, list] of expected) assert.deepEqual(actual.get(customer), list, customer)
  for (let partition = 0; partition < orders.partitions; partition++) {
    const task = { group: crashGroup, topic: 'orders', partition }
    const entries = await bus.engine.scanState({ task, store: 'sum', after: undefined, limit: 100 })
    for (const { key, value } of entries) assert.equal(Number(value), sums.get(key), `state of ${key}`)
  }
}

function checkLedger(file: string, log: readonly LogEvent<Order>[]): void {
  const database = new DatabaseSync(file, { readOnly: true })
  const rows = database.prepare('select n from ledger order by n').all()
  database.close()
  const wanted = log.map(({ data }) => data.n).filter(usesSql)
  assert.deepEqual(
    rows.map(({ n }) => Number(n)),
    wanted.sort((a, b) => a - b),
    'the user’s rows, each once',
  )
}

async function crashAndCheck(...crashes: string[]): Promise<void> {
  const place = newPlace()
  for (const crash of crashes) {
    assert.equal(
      await live(place, crash),
      'SIGKILL',
      `the kill at ${crash} must hit, or the run proves nothing`,
    )
  }
  assert.equal(await live(place), null)
  await check(place)
}

describe('a process killed at a named step of a commit', { concurrency: 2 }, () => {
  const steps = crashPointNames.flatMap((name) => hitsOf(name).map((hit) => `${name}:${hit}`))
  for (const step of steps) {
    test(`${step}: nothing lost, doubled or out of order (D1, N4, X1)`, () => crashAndCheck(step))
  }

  test('and again while it recovers', async () => {
    await crashAndCheck('writer.committed:6', 'writer.caught-up:1', 'writer.before-commit:2')
  })
})
