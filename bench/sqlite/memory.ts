import type { BenchCase, Figures } from '../measure.ts'
import { rate } from '../measure.ts'
import { batchEvents, orderOf, orders } from '../workload.ts'
import { openSqliteBus } from './by-hand.ts'

const total = 10_000_000
const mib = 2 ** 20

export const memory: BenchCase = {
  name: 'memory',
  figure: 'rssMaxMib',
  better: 'lower',
  reach: { rssMaxMib: 300 },
  ratios: {},
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      let handled = 0
      bus.consume(orders, { group: 'bench', guarantee: 'at-least-once' }, async () => {
        handled++
      })
      let rssMax = 0
      let rssHalf = 0
      const started = performance.now()
      for (let n = 0; n < total; n += batchEvents) {
        await bus.publishMany(Array.from({ length: batchEvents }, (_, i) => orders.event(orderOf(n + i))))
        const { rss } = process.memoryUsage()
        rssMax = Math.max(rssMax, rss)
        if (n === total / 2) rssHalf = rss
      }
      while (handled < total) await new Promise((resolve) => setTimeout(resolve, 20))
      const { rss } = process.memoryUsage()
      return {
        rssMaxMib: Math.round(Math.max(rssMax, rss) / mib),
        rssHalfMib: Math.round(rssHalf / mib),
        rssEndMib: Math.round(rss / mib),
        eventsPerSecond: rate(total, started),
      }
    },
  },
}
