import { type BenchCase, type Figures, rate } from '../measure.ts'
import {
  publishBatch as publishBatchOn,
  publishConcurrent as publishConcurrentOn,
} from '../semel-programs.ts'
import { batchEvents, orderOf } from '../workload.ts'
import { byHand, insertByHand, openPostgresBus } from './by-hand.ts'

export const publishBatch: BenchCase = {
  name: 'publish-batch',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 150_000 },
  ratios: { 'insert … select unnest of 1,000': 2 },
  programs: {
    semel: async (): Promise<Figures> => {
      await using bus = await openPostgresBus()
      return await publishBatchOn(bus, 800_000)
    },
    'insert … select unnest of 1,000': (): Promise<Figures> =>
      byHand(1, async (pool) => {
        const count = 200_000
        const started = performance.now()
        for (let n = 0; n < count; n += batchEvents) await insertByHand(pool, n, batchEvents)
        return { eventsPerSecond: rate(count, started) }
      }),
  },
}

const connections = 20

export const publishConcurrent: BenchCase = {
  name: 'publish-concurrent',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: { eventsPerSecond: 40_000 },
  ratios: {},
  programs: {
    semel: async (): Promise<Figures> => {
      await using bus = await openPostgresBus()
      return await publishConcurrentOn(bus, 200_000)
    },
    'insert per event, 20 connections': (): Promise<Figures> =>
      byHand(connections, async (pool) => {
        const count = 30_000
        let next = 0
        const started = performance.now()
        const insert = async (): Promise<void> => {
          while (next < count) {
            const order = orderOf(next++)
            await pool.query('insert into hand_event (key, data) values ($1, $2)', [order.customer, order])
          }
        }
        await Promise.all(Array.from({ length: connections }, insert))
        return { eventsPerSecond: rate(count, started) }
      }),
  },
}
