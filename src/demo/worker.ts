import { sqlite } from '../engines/sqlite/index.ts'
import { openBus } from '../index.ts'
import { NaiveCounter } from './naive-counter.ts'
import { countersGroup, deliveries, summaries } from './topics.ts'

/** What a worker process is told on its command line. */
export interface WorkerOrders {
  readonly file: string
  readonly naiveFile: string
  readonly member: string
  readonly naivePartitions: readonly number[]
}

/** State kept per repository: one object, changed once per event. */
type RepositoryCounts = Record<string, number>

const orders: WorkerOrders = JSON.parse(process.argv[2] ?? '{}')
const bus = await openBus({
  engine: sqlite({ file: orders.file }),
  topics: [deliveries, summaries],
  member: orders.member,
})

const consumer = bus.consume(deliveries, { group: countersGroup, leaseMs: 600 }, async (event, tx) => {
  const repository = String(event.key)
  const counts = tx.state<RepositoryCounts>('counts')
  const before = (await counts.get()) ?? {}
  const count = (before[event.type] ?? 0) + 1
  await counts.set({ ...before, [event.type]: count })
  tx.emit(summaries, { repository, type: event.type, count, deliveryId: event.id })
})

const naive = new AbortController()
const naiveRun = new NaiveCounter(bus, orders.naiveFile, orders.naivePartitions).run(naive.signal)
await consumer.ready()
process.send?.('ready')

process.on('message', (message) => {
  if (message === 'stop') void stop()
})

async function stop(): Promise<void> {
  naive.abort()
  await naiveRun
  await bus.stop({ deadlineMs: 5_000 })
  process.disconnect?.()
}
