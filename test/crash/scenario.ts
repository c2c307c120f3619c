import { closeSync, openSync, writeSync } from 'node:fs'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { openBus } from '../../src/index.ts'
import { until } from '../support/until.ts'
import { crashEvents, crashGroup, type Order, orders, payments, totals, usesSql } from './crash-topics.ts'

/**
 * A whole program on one file, killed by the crash test at a named step: publishes with its own ids (all of them
 * again in each life, as a careful producer does), sums exactly once, writes the user's table. Notes every
 * acknowledgement with one write before it goes on.
 */
const [file, ackFile] = process.argv.slice(2)
const acks = openSync(ackFile!, 'a')
const bus = await openBus({ engine: sqlite({ file: file! }), topics: [orders, payments, totals] })

const consumer = bus.consume(orders, { group: crashGroup, leaseMs: 300 }, async (event, tx) => {
  if (usesSql(event.data.n)) {
    await tx.query('create table if not exists ledger (n integer primary key, amount integer)')
    await tx.query('insert into ledger values (?, ?)', [event.data.n, event.data.amount])
  }
  const state = tx.state<number>('sum')
  const sum = ((await state.get()) ?? 0) + event.data.amount
  await state.set(sum)
  tx.emit(totals, { customer: event.data.customer, sum, n: event.data.n })
})

for (let n = 0; n < crashEvents; n += 4) await publishFour(n)
await until(async () => {
  const group = (await bus.status()).groups.find((candidate) => candidate.group === crashGroup)
  return group !== undefined && group.tasks.length === orders.partitions && group.lagEvents === 0
})
await consumer.stop()
await bus.stop()
closeSync(acks)

/** Two single publishes, and one call over two topics. */
async function publishFour(n: number): Promise<void> {
  const single = (m: number): Promise<void> =>
    bus
      .publish(orders, orderOf(m), { id: `order-${m}` })
      .then(({ partition, offset }) => note('orders', m, partition, offset))
  const both = (): Promise<void> =>
    bus
      .publishMany([
        orders.event(orderOf(n + 2), { id: `order-${n + 2}` }),
        payments.event({ n }, { id: `payment-${n}` }),
        orders.event(orderOf(n + 3), { id: `order-${n + 3}` }),
      ])
      .then(([first, payment, last]) => {
        note('orders', n + 2, first!.partition, first!.offset)
        note('payments', n, payment!.partition, payment!.offset)
        note('orders', n + 3, last!.partition, last!.offset)
      })
  await Promise.all([single(n), single(n + 1), both()])
}

function orderOf(n: number): Order {
  return { n, customer: `customer-${n % 7}`, amount: 1 + (n % 5) }
}

function note(topicName: string, n: number, partition: number, offset: number): void {
  writeSync(acks, `${JSON.stringify({ topic: topicName, n, partition, offset })}\n`)
}
