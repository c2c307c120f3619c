import type pg from 'pg'
import { type BenchCase, type Figures, rate } from '../measure.ts'
import {
  processAtLeastOnce as processAtLeastOnceOn,
  processExactlyOnce as processExactlyOnceOn,
} from '../semel-programs.ts'
import type { Order } from '../workload.ts'
import { byHand, insertByHand, openPool, openPostgresBus } from './by-hand.ts'

const readEvents = 500
const readSql = 'select id, data from hand_event where id > $1 order by id limit $2'

interface EventRow {
  readonly id: string
  readonly data: Order
}

async function fill(pool: pg.Pool, count: number): Promise<void> {
  for (let n = 0; n < count; n += 5_000) await insertByHand(pool, n, 5_000)
}

export const processAtLeastOnce: BenchCase = {
  name: 'process-at-least-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 120_000 },
  ratios: {},
  programs: {
    semel: async (): Promise<Figures> => {
      await using bus = await openPostgresBus()
      return await processAtLeastOnceOn(bus, 300_000)
    },
    'bare read loop, batches of 500': (): Promise<Figures> =>
      byHand(1, async (pool) => {
        const count = 300_000
        await fill(pool, count)
        const handle = async (_order: Order): Promise<void> => undefined
        const started = performance.now()
        for (let at = 0; ; ) {
          const { rows } = await pool.query<EventRow>({
            name: 'read',
            text: readSql,
            values: [at, readEvents],
          })
          if (rows.length === 0) break
          for (const { data } of rows) await handle(data)
          at = Number(rows.at(-1)!.id)
          await pool.query({ name: 'save', text: 'update hand_position set at = $1', values: [at] })
        }
        return { eventsPerSecond: rate(count, started) }
      }),
  },
}

/** One transaction for up to `size` events: two reads and one statement that writes all. */
async function processUnit(client: pg.PoolClient, at: number, size: number): Promise<number> {
  await client.query('begin')
  const { rows } = await client.query<EventRow>({ name: 'read', text: readSql, values: [at, size] })
  const sums = new Map<string, number>()
  const keys = [...new Set(rows.map(({ data }) => data.customer))]
  const known = await client.query<{ key: string; value: string }>({
    name: 'state',
    text: 'select key, value from hand_state where key = any($1)',
    values: [keys],
  })
  for (const { key, value } of known.rows) sums.set(key, Number(value))
  const outputs: string[] = []
  for (const { data } of rows) {
    const sum = (sums.get(data.customer) ?? 0) + data.total
    sums.set(data.customer, sum)
    outputs.push(JSON.stringify({ customer: data.customer, sum }))
  }
  const next = Number(rows.at(-1)!.id)
  await client.query({
    name: 'write',
    text: `with output as (insert into hand_output (data) select * from unnest($1::jsonb[])),
                state as (insert into hand_state select * from unnest($2::text[], $3::bigint[])
                          on conflict (key) do update set value = excluded.value)
           update hand_position set at = $4`,
    values: [outputs, [...sums.keys()], [...sums.values()], next],
  })
  await client.query('commit')
  return next
}

async function processByHand(pool: pg.Pool, count: number, size: number): Promise<Figures> {
  await fill(pool, Math.max(count, 5_000))
  const client = await pool.connect()
  try {
    const started = performance.now()
    for (let at = 0; at < count; ) at = await processUnit(client, at, size)
    return { eventsPerSecond: rate(count, started) }
  } finally {
    client.release()
  }
}

export const processExactlyOnce: BenchCase = {
  name: 'process-exactly-once',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 60_000 },
  ratios: { 'a statement per 500 events': 0.8 },
  programs: {
    semel: async (): Promise<Figures> => {
      await using bus = await openPostgresBus()
      return await processExactlyOnceOn(bus, 200_000)
    },
    'a statement per 500 events': () => byHand(1, (pool) => processByHand(pool, 150_000, readEvents)),
    'transaction per event': () => byHand(1, (pool) => processByHand(pool, 5_000, 1)),
  },
}

/** Handlers at once, of each partition: so many statements can travel together. The default is 16. */
const sqlConcurrency = 128

export const processWithSql: BenchCase = {
  name: 'process-with-sql',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 25_000 },
  ratios: {},
  programs: {
    semel: async (): Promise<Figures> => {
      const pool = openPool(1)
      await pool.query('drop table if exists hand_row; create table hand_row (customer text, total int)')
      await pool.end()
      await using bus = await openPostgresBus()
      return await processExactlyOnceOn(bus, 200_000, {
        concurrency: sqlConcurrency,
        also: ({ customer, total }, tx) =>
          tx.query('insert into hand_row values ($1, $2)', [customer, total]),
      })
    },
  },
}
