import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { type Bus, openBus } from '../../src/index.ts'
import { orderOf, orders, totals } from '../workload.ts'

/** Where bench/main.ts puts the address of the server that it started. */
export const serverVariable = 'SEMEL_BENCH_POSTGRES_URL'

function serverUrl(): string {
  const url = process.env[serverVariable]
  if (url === undefined) throw new Error(`${serverVariable} is not set: run the bench with --engine postgres`)
  return url
}

/** A bus in a schema of its own. */
export function openPostgresBus(schema: string = newSchema()): Promise<Bus> {
  return openBus({ engine: postgres({ url: serverUrl(), schema }), topics: [orders, totals] })
}

export function newSchema(): string {
  return `bench_${randomUUID().slice(0, 8)}`
}

export function openPool(connections: number): pg.Pool {
  // A plan that was made while the tables were empty, and is kept, shall not decide what is measured.
  return new pg.Pool({ connectionString: serverUrl(), max: connections, options: '-c enable_seqscan=off' })
}

/** Runs hand-written statements with tables of their own, which are dropped first. */
export async function byHand<T>(connections: number, run: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = openPool(connections)
  try {
    await pool.query(`
      drop table if exists hand_event, hand_output, hand_state, hand_position, hand_row;
      create table hand_event (id bigint generated always as identity primary key, key text, data jsonb);
      create table hand_output (id bigint generated always as identity primary key, data jsonb);
      create table hand_state (key text primary key, value bigint);
      create table hand_position (id int primary key, at bigint);
      create table hand_row (customer text, total int);
      insert into hand_position values (1, 0)`)
    return await run(pool)
  } finally {
    await pool.end()
  }
}

/** One statement for `count` events. */
export async function insertByHand(pool: pg.Pool, from: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => orderOf(from + i))
  await pool.query('insert into hand_event (key, data) select * from unnest($1::text[], $2::jsonb[])', [
    rows.map(({ customer }) => customer),
    rows.map((row) => JSON.stringify(row)),
  ])
}
