import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { BenchCase, Figures } from '../measure.ts'
import { rate } from '../measure.ts'
import { batchEvents, orderOf, orders } from '../workload.ts'
import { openByHand, openSqliteBus } from './by-hand.ts'

const distinct = Number(process.env.DISTINCT ?? 2_000_000)
const repeatShare = 0.1

/** Ids of one call: a tenth of them was published before. */
function callIds(known: string[]): string[] {
  return Array.from({ length: batchEvents }, () => {
    if (known.length > batchEvents && Math.random() < repeatShare)
      return known[Math.floor(Math.random() * known.length)]!
    const id = randomUUID()
    known.push(id)
    return id
  })
}

/** What an id costs on disk beside its event: its share of the sealed generations, in pages, and its print. */
function diskBytesPerId(folder: string): number {
  const database = new DatabaseSync(join(folder, 'semel.db'), { readOnly: true })
  const number = (sql: string): number => Number(Object.values(database.prepare(sql).get() ?? {})[0])
  const sealed = number(`select coalesce(sum(pgsize), 0) from dbstat
    where name in ('semel_id_chunk', 'semel_id_filter') and aggregate = true`)
  const ids = number('select coalesce(sum(entries), 0) from semel_id_generation')
  const print = number('select sum(length(prints)) * 1.0 / sum(count) from semel_batch')
  database.close()
  return (ids === 0 ? 0 : sealed / ids) + print
}

export const dedup: BenchCase = {
  name: 'dedup',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 150_000 },
  ratios: { 'UNIQUE index on random ids': 3 },
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      const known: string[] = []
      const contentOf = new Map<string, number>()
      let published = 0
      let duplicates = 0
      let spentMs = 0
      // Ids are made outside the measured time; a repeated id comes with its own content, as a retry does.
      while (known.length < distinct) {
        const calls = Array.from({ length: 20 }, () => {
          return callIds(known).map((id) => {
            const n = contentOf.get(id) ?? contentOf.size
            contentOf.set(id, n)
            return orders.event(orderOf(n), { id })
          })
        })
        const started = performance.now()
        const run = async (from: number): Promise<void> => {
          for (let c = from; c < calls.length; c += 2) {
            const receipts = await bus.publishMany(calls[c]!)
            for (const { duplicate } of receipts) if (duplicate) duplicates++
          }
        }
        await Promise.all([run(0), run(1)])
        spentMs += performance.now() - started
        published += calls.length * batchEvents
      }
      if (published - duplicates !== known.length)
        throw new Error(`expected ${known.length} distinct, got ${published - duplicates}`)
      const { storage } = await bus.status()
      return {
        eventsPerSecond: Math.round(published / (spentMs / 1000)),
        duplicates,
        memoryBytesPerId: Number(storage.dedupMemoryBytes) / Number(storage.dedupIds),
        diskBytesPerId: diskBytesPerId(folder),
      }
    },
    'UNIQUE index on random ids': async (folder): Promise<Figures> => {
      const database = openByHand(folder)
      database.exec('create table seen (id text primary key) without rowid')
      const insert = database.prepare('insert into seen values (?) on conflict do nothing')
      const known: string[] = []
      const calls = Array.from({ length: 600 }, () => callIds(known))
      const started = performance.now()
      for (const ids of calls) {
        database.exec('begin immediate')
        for (const id of ids) insert.run(id)
        database.exec('commit')
      }
      const eventsPerSecond = rate(calls.length * batchEvents, started)
      const pages = database.prepare('pragma page_count').get()
      database.close()
      return { eventsPerSecond, diskBytesPerId: (Number(pages?.page_count) * 4096) / known.length }
    },
  },
}
