import type pg from 'pg'
import type { Bus } from '../../src/index.ts'
import type { BenchCase, Figures } from '../measure.ts'
import { pause, sumPerCustomer } from '../semel-programs.ts'
import { batchEvents, orderOf, orders } from '../workload.ts'
import { newSchema, openPool, openPostgresBus } from './by-hand.ts'

/** Published and not yet processed: enough that neither side waits for the other. */
const aheadMax = 20_000
const warmUpMs = 5_000
/** The first and the last part of the run are this share of it, but not so short that a checkpoint decides. */
const partShare = 0.1
const partMsMin = 10_000
const sampleMs = 500
const mib = 2 ** 20

interface Sample {
  readonly atMs: number
  readonly handled: number
}

/**
 * Publishing and exactly-once processing as fast as both go, while another connection holds a snapshot: the server can
 * remove no dead row of the whole run. What is stored must cost the same to read and to write in the end.
 */
export const heldSnapshot: BenchCase = {
  name: 'held-snapshot',
  figure: 'ratio',
  better: 'higher',
  reach: { ratio: 0.8, tablesPerLive: 2 },
  ratios: {},
  isLong: true,
  programs: {
    semel: async (_folder, forMs): Promise<Figures> => {
      const schema = newSchema()
      await using bus = await openPostgresBus(schema)
      const pool = openPool(2)
      const holder = await pool.connect()
      try {
        await holder.query('begin isolation level repeatable read; select 1 from pg_catalog.pg_class limit 1')
        const samples = await work(bus, forMs)
        return { ...speeds(samples), ...(await sizes(pool, schema)) }
      } finally {
        holder.release(true)
        await pool.end()
      }
    },
  },
}

async function work(bus: Bus, forMs: number): Promise<readonly Sample[]> {
  let published = 0
  let handled = 0
  const consumer = bus.consume(orders, { group: 'bench' }, async (event, tx) => {
    await sumPerCustomer(event, tx)
    handled++
  })
  await consumer.ready()
  const startedMs = performance.now()
  const endMs = startedMs + warmUpMs + forMs
  const samples: Sample[] = []
  const publishing = (async () => {
    while (performance.now() < endMs) {
      if (published - handled > aheadMax) await pause(1)
      else
        await bus.publishMany(Array.from({ length: batchEvents }, () => orders.event(orderOf(published++))))
    }
  })()
  while (performance.now() < endMs) {
    await pause(sampleMs)
    const atMs = performance.now() - startedMs - warmUpMs
    if (atMs >= 0) samples.push({ atMs, handled })
  }
  await publishing
  await consumer.stop()
  return samples
}

function speeds(samples: readonly Sample[]): Figures {
  const lastMs = samples.at(-1)!.atMs
  const partMs = Math.min(Math.max(partShare * lastMs, partMsMin), lastMs / 2)
  const first = speedOf(samples.filter(({ atMs }) => atMs <= partMs))
  const last = speedOf(samples.filter(({ atMs }) => atMs >= lastMs - partMs))
  return { firstPerSecond: first, lastPerSecond: last, ratio: last / first, events: samples.at(-1)!.handled }
}

function speedOf(samples: readonly Sample[]): number {
  const [first, last] = [samples[0]!, samples.at(-1)!]
  return ((last.handled - first.handled) / (last.atMs - first.atMs)) * 1_000
}

/** Tables that grow with the work, with what their rows hold in bytes. A value that is stored apart counts as it is there. */
const tables: Readonly<Record<string, string>> = {
  batch: 'pg_column_size(head) + pg_column_size(body) + 60',
  state: 'pg_column_size(key) + pg_column_size(value) + 40',
  state_log: 'pg_column_size(keys) + pg_column_size("values") + 60',
  progress: 'pg_column_size(log_id) + 40',
}

/** What the tables take on the disk, with their indexes and dead rows, and what of it is live. */
async function sizes(pool: pg.Pool, schema: string): Promise<Figures> {
  const figures: Record<string, number> = {}
  let total = 0
  let totalLive = 0
  for (const [table, bytes] of Object.entries(tables)) {
    const { rows } = await pool.query<{ size: string; live: string }>(
      `select pg_total_relation_size('${schema}.${table}') as size, sum(${bytes}) as live from ${schema}.${table}`,
    )
    const { size, live } = rows[0]!
    figures[`${table}Mib`] = Number(size) / mib
    figures[`${table}LiveMib`] = Number(live) / mib
    total += Number(size)
    totalLive += Number(live)
  }
  return { ...figures, tablesPerLive: total / totalLive }
}
