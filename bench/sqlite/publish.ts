import type { BenchCase, Figures } from '../measure.ts'
import { rate } from '../measure.ts'
import {
  publishBatch as publishBatchOn,
  publishConcurrent as publishConcurrentOn,
} from '../semel-programs.ts'
import { batchEvents, orderOf } from '../workload.ts'
import { openByHand, openSqliteBus } from './by-hand.ts'

export const publishBatch: BenchCase = {
  name: 'publish-batch',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 350_000, loopDelayP99Ms: 10 },
  ratios: { 'row per event, transactions of 1,000': 1.2 },
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      return await publishBatchOn(bus, 700_000)
    },
    'row per event, transactions of 1,000': async (folder): Promise<Figures> => {
      const database = openByHand(folder)
      database.exec('create table event (id integer primary key, partition int, key text, data text)')
      const insert = database.prepare('insert into event (partition, key, data) values (?, ?, ?)')
      const count = 400_000
      const rows = Array.from({ length: 50_000 }, (_, n) => orderOf(n))
      const started = performance.now()
      for (let n = 0; n < count; n += batchEvents) {
        database.exec('begin immediate')
        for (let i = 0; i < batchEvents; i++) {
          const row = rows[(n + i) % rows.length]!
          insert.run(i & 3, row.customer, JSON.stringify(row))
        }
        database.exec('commit')
      }
      const eventsPerSecond = rate(count, started)
      database.close()
      return { eventsPerSecond }
    },
  },
}

const inFlight = 256

export const publishConcurrent: BenchCase = {
  name: 'publish-concurrent',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 120_000 },
  ratios: { 'bare group-commit loop': 0.6 },
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      return await publishConcurrentOn(bus, 300_000)
    },
    'bare group-commit loop': async (folder): Promise<Figures> => {
      const database = openByHand(folder)
      database.exec('create table event (id integer primary key, data text)')
      const insert = database.prepare('insert into event (data) values (?)')
      let waiting: { data: string; resolve: () => void }[] = []
      let planned = false
      const flush = (): void => {
        planned = false
        const group = waiting
        waiting = []
        database.exec('begin immediate')
        for (const { data } of group) insert.run(data)
        database.exec('commit')
        for (const { resolve } of group) resolve()
      }
      const publish = (data: string): Promise<void> =>
        new Promise((resolve) => {
          waiting.push({ data, resolve })
          if (planned) return
          planned = true
          setImmediate(flush)
        })
      const count = 300_000
      let next = 0
      const started = performance.now()
      const publishers = Array.from({ length: inFlight }, async () => {
        while (next < count) await publish(JSON.stringify(orderOf(next++)))
      })
      await Promise.all(publishers)
      const eventsPerSecond = rate(count, started)
      database.close()
      return { eventsPerSecond }
    },
  },
}
