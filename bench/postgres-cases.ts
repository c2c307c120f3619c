// What the PostgreSQL engine does on this machine: `node bench/postgres-cases.ts URL [case…]`
import pg from 'pg'
import { postgres } from '../src/engines/postgres/index.ts'
import { type Bus, openBus } from '../src/index.ts'
import { batchEvents, orderOf, orders, publishBacklog, totals } from './sqlite/workload.ts'

const [url, ...wanted] = process.argv.slice(2)
if (url === undefined) throw new Error('the address of a server is missing')
const underWayMax = 2
const inFlight = 256
const latencyEvents = 3_000
const latencyGapMs = 1

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const rate = (count: number, started: number) => Math.round((count * 1000) / (performance.now() - started))

async function inFreshSchema(run: (bus: Bus) => Promise<string>): Promise<string> {
  const schema = `bench_${process.pid}_${Date.now()}`
  const bus = await openBus({ engine: postgres({ url: url!, schema }), topics: [orders, totals] })
  try {
    return await run(bus)
  } finally {
    await bus.stop()
    await byHand((client) => client.query(`drop schema ${schema} cascade`))
  }
}

async function byHand<T>(run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url! })
  await client.connect()
  try {
    return await run(client)
  } finally {
    await client.end()
  }
}

async function publishBatch(bus: Bus, ids: 'fresh' | 'own'): Promise<string> {
  await publishBacklog(bus, 20_000)
  const count = 300_000
  let made = 0
  const attributes = () => (ids === 'own' ? { id: `order-${process.pid}-${made++}` } : undefined)
  const calls = Array.from({ length: count / batchEvents }, (_, c) =>
    Array.from({ length: batchEvents }, (__, i) => orders.event(orderOf(c * batchEvents + i), attributes())),
  )
  const started = performance.now()
  const publishers = Array.from({ length: underWayMax }, async (_, p) => {
    for (let c = p; c < calls.length; c += underWayMax) await bus.publishMany(calls[c]!)
  })
  await Promise.all(publishers)
  return `${rate(count, started)} events/s`
}

async function publishConcurrent(bus: Bus): Promise<string> {
  const run = async (total: number) => {
    let next = 0
    const publishers = Array.from({ length: inFlight }, async () => {
      while (next < total) await bus.publish(orders, orderOf(next++))
    })
    await Promise.all(publishers)
  }
  await run(10_000)
  const started = performance.now()
  await run(120_000)
  return `${rate(120_000, started)} events/s`
}

async function processBacklog(bus: Bus, kind: 'at-least-once' | 'exactly-once' | 'sql'): Promise<string> {
  const count = kind === 'sql' ? 60_000 : 200_000
  await publishBacklog(bus, count)
  let handled = 0
  if (kind === 'sql')
    await byHand((client) => client.query('create table if not exists bench_rows (id text, total int)'))
  const guarantee = kind === 'at-least-once' ? kind : 'exactly-once'
  const started = performance.now()
  bus.consume(orders, { group: 'bench', guarantee }, async (event, tx) => {
    handled++
    if (kind === 'at-least-once') return
    const state = tx.state<number>('sum')
    const sum = ((await state.get()) ?? 0) + event.data.total
    await state.set(sum)
    tx.emit(totals, { customer: event.data.customer, sum })
    if (kind === 'sql') await tx.query('insert into bench_rows values ($1, $2)', [event.id, event.data.total])
  })
  while (handled < count) await pause(2)
  while (kind !== 'at-least-once') {
    const bounds = await bus.engine.bounds('totals')
    if (bounds.reduce((sum, { end }) => sum + end, 0) >= count) break
    await pause(5)
  }
  if (kind === 'sql') await byHand((client) => client.query('drop table bench_rows'))
  return `${rate(count, started)} events/s`
}

async function latency(bus: Bus): Promise<string> {
  const times: number[] = []
  bus.consume(orders, { group: 'bench', guarantee: 'at-least-once' }, async (event) => {
    times.push(performance.timeOrigin + performance.now() - event.time)
  })
  await pause(500)
  const started = performance.now()
  for (let n = 0; n < latencyEvents; n++) {
    const due = started + n * latencyGapMs
    while (performance.now() < due) await pause(Math.max(0, due - performance.now()))
    void bus.publish(orders, orderOf(n))
  }
  while (times.length < latencyEvents) await pause(5)
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)]!.toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`
}

async function rawUnnest(): Promise<string> {
  return await byHand(async (client) => {
    await client.query(
      'create table bench_raw (id bigint generated always as identity primary key, key text, data jsonb)',
    )
    const count = 200_000
    const started = performance.now()
    for (let n = 0; n < count; n += batchEvents) {
      const rows = Array.from({ length: batchEvents }, (_, i) => orderOf(n + i))
      await client.query('insert into bench_raw (key, data) select * from unnest($1::text[], $2::jsonb[])', [
        rows.map(({ customer }) => customer),
        rows.map((row) => JSON.stringify(row)),
      ])
    }
    const result = rate(count, started)
    await client.query('drop table bench_raw')
    return `${result} events/s`
  })
}

const cases: Readonly<Record<string, () => Promise<string>>> = {
  raw: rawUnnest,
  batch: () => inFreshSchema((bus) => publishBatch(bus, 'fresh')),
  'batch-own-ids': () => inFreshSchema((bus) => publishBatch(bus, 'own')),
  concurrent: () => inFreshSchema(publishConcurrent),
  'at-least-once': () => inFreshSchema((bus) => processBacklog(bus, 'at-least-once')),
  'exactly-once': () => inFreshSchema((bus) => processBacklog(bus, 'exactly-once')),
  sql: () => inFreshSchema((bus) => processBacklog(bus, 'sql')),
  latency: () => inFreshSchema(latency),
}
for (const name of wanted.length > 0 ? wanted : Object.keys(cases)) {
  console.log(name.padEnd(16), await cases[name]!())
}
