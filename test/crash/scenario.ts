import { sqlite } from '../../src/engines/sqlite/index.ts'
import { isSemelError, openBus } from '../../src/index.ts'
import { HistoryProbe, HistoryRecorder } from '../../src/testing/history/index.ts'
import { hostClock, RealHistoryFile } from '../../src/testing/real-history-file.ts'
import { until } from '../support/until.ts'
import {
  crashGroup,
  crashTopics,
  type Order,
  orderOf,
  orders,
  payments,
  type Scenario,
  totals,
  usesSql,
} from './crash-topics.ts'

/**
 * A whole program on one file, killed by the crash tests at any step: publishes a range with its own ids, some of
 * them again, as a careful producer does; sums exactly once; writes the user's table. Ends when its group has
 * handled everything. All that it asks and is told goes into its history.
 */
const life: Life = JSON.parse(process.argv[2]!)

export interface Life {
  readonly file: string
  readonly history: string
  readonly node: string
  readonly from: number
  readonly to: number
  readonly scenario: Scenario
  /** The first handler keeps the whole process busy for so long. */
  readonly blockMs: number
  /** Units are flushed whatever publishers ask for: without them, nothing but publishing reaches the disk. */
  readonly consumes: boolean
  /** Publishes the next orders only when all before are handled: as many units as there are steps, on any machine. */
  readonly stepwise: boolean
  /** Every publish settles within this time (U3); what did not is published again, by its id. */
  readonly publishDeadlineMs: number
  readonly leaseMs: number
}

const file = new RealHistoryFile(life.history)
const probe = new HistoryProbe(new HistoryRecorder({ node: life.node, clock: hostClock, file }))
const engine = probe.engine(sqlite({ file: life.file }))
const { durability, concurrency } = life.scenario
const bus = await openBus({
  engine,
  topics: crashTopics,
  durability,
  member: life.node,
  publish: { deadlineMs: life.publishDeadlineMs },
})
await probe.opened(bus, crashTopics)

let blockMs = life.blockMs
const handler = probe.handler<Order>(crashGroup, async ({ data }, tx) => {
  block()
  if (usesSql(life.scenario, data.n)) {
    await tx.query('create table if not exists ledger (n integer primary key, amount integer)')
    await tx.query('insert into ledger values (?, ?)', [data.n, data.amount])
  }
  const state = tx.state<number>('sum')
  const sum = ((await state.get()) ?? 0) + data.amount
  await state.set(sum)
  tx.emit(totals, { customer: data.customer, sum, n: data.n })
})
const consumer = life.consumes
  ? bus.consume(orders, { group: crashGroup, leaseMs: life.leaseMs, concurrency }, handler)
  : undefined

for (let n = life.from; n < life.to; n += 4) {
  while (!(await publishFour(n)));
  if (life.stepwise) await until(allHandled)
}
await until(allHandled)
await consumer?.stop()
await bus.stop()
file[Symbol.dispose]()

async function allHandled(): Promise<boolean> {
  if (consumer === undefined) return true
  const group = (await bus.status()).groups.find((candidate) => candidate.group === crashGroup)
  return group !== undefined && group.tasks.length === orders.partitions && group.lagEvents === 0
}

/** Once, as a handler that computes without a pause: no timer of the process runs meanwhile. */
function block(): void {
  const until = performance.now() + blockMs
  blockMs = 0
  while (performance.now() < until);
}

/** Two single publishes, and one call over two topics. Answers whether all were in time. */
async function publishFour(n: number): Promise<boolean> {
  const event = (m: number) => {
    const data = orderOf(m)
    return { topic: orders, data, id: `order-${m}`, key: data.customer, n: data.amount }
  }
  const payment = { topic: payments, data: { n }, id: `payment-${n}`, key: null }
  const ends = await Promise.allSettled([
    probe.publish(bus, event(n)),
    probe.publish(bus, event(n + 1)),
    probe.publishMany(bus, [event(n + 2), payment, event(n + 3)]),
  ])
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))
  for (const error of errors) if (!isSemelError(error) || !error.retryable) throw error
  return errors.length === 0
}
