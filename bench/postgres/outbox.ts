import { sequenceOutbox } from '../../src/outbox/index.ts'
import { type BenchCase, type Figures, rate } from '../measure.ts'
import { pause } from '../semel-programs.ts'
import { batchEvents, orderOf, orders } from '../workload.ts'
import { newSchema, openPool, openPostgresBus } from './by-hand.ts'

const count = 50_000
const pollMs = 10

/** What one sequencer moves from the outbox into the log, once the transactions that published have committed. */
export const outbox: BenchCase = {
  name: 'outbox',
  figure: 'eventsPerSecond',
  better: 'higher',
  reach: {},
  ratios: {},
  programs: {
    semel: async (): Promise<Figures> => {
      const schema = newSchema()
      await using bus = await openPostgresBus(schema)
      const pool = openPool(1)
      const filling = performance.now()
      for (let n = 0; n < count; n += batchEvents) {
        const rows = Array.from({ length: batchEvents }, (_, i) => orderOf(n + i))
        await pool.query(
          `select ${schema}.publish('orders', u.key, 'orders', u.data::json) from unnest($1::text[], $2::text[]) u (key, data)`,
          [rows.map(({ customer }) => customer), rows.map((row) => JSON.stringify(row))],
        )
      }
      const publishedPerSecond = rate(count, filling)
      await pool.end()
      const started = performance.now()
      await using _ = await sequenceOutbox(bus)
      for (let moved = 0; moved < count; ) {
        const bounds = await bus.engine.bounds(orders.name)
        moved = bounds.reduce((sum, { end }) => sum + end, 0)
        if (moved < count) await pause(pollMs)
      }
      return { eventsPerSecond: rate(count, started), publishedPerSecond }
    },
  },
}
