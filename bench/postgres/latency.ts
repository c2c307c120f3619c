import type { BenchCase, Figures } from '../measure.ts'
import { latencyFigures, latency as latencyOn, pause, steadily } from '../semel-programs.ts'
import { orderOf } from '../workload.ts'
import { byHand, openPostgresBus } from './by-hand.ts'

export const latency: BenchCase = {
  name: 'latency',
  figure: 'p50Ms',
  better: 'lower',
  reach: { p50Ms: 4, p99Ms: 15 },
  ratios: {},
  programs: {
    semel: async (): Promise<Figures> => {
      await using bus = await openPostgresBus()
      return await latencyOn(bus)
    },
    // It may skip events: a number is drawn before its transaction commits, and what the loop has passed it never sees.
    'bare loop': (): Promise<Figures> =>
      byHand(10, async (pool) => {
        const sent: number[] = []
        const latencies: number[] = []
        let ended = false
        const reading = (async () => {
          for (let at = 0, isLast = false; !isLast; ) {
            const wasEnded = ended
            const { rows } = await pool.query(
              'select id, data from hand_event where id > $1 order by id limit 500',
              [at],
            )
            for (const { id, data } of rows) {
              at = Number(id)
              latencies.push(performance.now() - sent[data.total]!)
            }
            isLast = wasEnded && rows.length === 0
            if (rows.length === 0) await pause(0)
          }
        })()
        const inserts: Promise<unknown>[] = []
        await steadily((n) => {
          sent[n] = performance.now()
          inserts.push(pool.query('insert into hand_event (data) values ($1)', [{ ...orderOf(n), total: n }]))
        })
        await Promise.all(inserts)
        ended = true
        await reading
        return { ...latencyFigures(latencies), skipped: sent.length - latencies.length }
      }),
  },
}
