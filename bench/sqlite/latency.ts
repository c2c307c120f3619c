import type { BenchCase, Figures } from '../measure.ts'
import { percentile } from '../measure.ts'
import { openByHand, openSqliteBus, orderOf, orders } from './workload.ts'

const perSecond = 1_000
const seconds = 8
const warmUpSeconds = 2

/** Calls `send` at a steady rate; its argument is the running number. */
async function steadily(send: (n: number) => void): Promise<void> {
  const started = performance.now()
  const total = perSecond * (seconds + warmUpSeconds)
  for (let n = 0; n < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * perSecond))
    while (n < due) send(n++)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function figuresOf(latencies: readonly number[]): Figures {
  const counted = latencies.slice(perSecond * warmUpSeconds)
  return { p50Ms: percentile(counted, 0.5), p99Ms: percentile(counted, 0.99), samples: counted.length }
}

export const latency: BenchCase = {
  name: 'latency',
  figure: 'p50Ms',
  better: 'lower',
  reach: { p50Ms: 1.5, p99Ms: 6 },
  ratios: {},
  programs: {
    semel: async (folder): Promise<Figures> => {
      await using bus = await openSqliteBus(folder)
      const sent = new Map<string, number>()
      const latencies: number[] = []
      const consumer = bus.consume(orders, { group: 'bench', guarantee: 'at-least-once' }, async (event) => {
        latencies.push(performance.now() - sent.get(event.id)!)
        sent.delete(event.id)
      })
      await consumer.ready()
      const publishes: Promise<unknown>[] = []
      await steadily((n) => {
        const id = `event-${n}`
        sent.set(id, performance.now())
        publishes.push(bus.publish(orders, orderOf(n), { id }))
      })
      await Promise.all(publishes)
      while (latencies.length < perSecond * (seconds + warmUpSeconds))
        await new Promise((r) => setTimeout(r, 5))
      return figuresOf(latencies)
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
      return figuresOf(latencies)
    },
  },
}
