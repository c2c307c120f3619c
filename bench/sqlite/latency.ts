import type { BenchCase, Figures } from '../measure.ts'
import { latencyFigures, latency as latencyOn, steadily } from '../semel-programs.ts'
import { orderOf } from '../workload.ts'
import { openByHand, openSqliteBus } from './by-hand.ts'

export const latency: BenchCase = {
  name: 'latency',
  figure: 'p50Ms',
  better: 'lower',
  reach: { p50Ms: 1.5, p99Ms: 6 },
  ratios: {},
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      return await latencyOn(bus)
    },
    'bare loop': async (folder): Promise<Figures> => {
      const database = openByHand(folder)
      database.exec('create table event (id integer primary key, data text)')
      const insert = database.prepare('insert into event (data) values (?)')
      const read = database.prepare('select id, data from event where id > ? order by id limit 500')
      const latencies: number[] = []
      let at = 0
      await steadily((n) => {
        const sent = performance.now()
        insert.run(JSON.stringify(orderOf(n)))
        for (const row of read.all(at)) {
          at = Number(row.id)
          JSON.parse(String(row.data))
          latencies.push(performance.now() - sent)
        }
      })
      database.close()
      return latencyFigures(latencies)
    },
  },
}
