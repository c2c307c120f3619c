import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Bus, Transaction } from '../src/index.ts'
import { type Figures, percentile, rate } from './measure.ts'
import { batchEvents, type Order, orderOf, orders, publishBacklog, totals } from './workload.ts'

/*
 * The cases as programs on Semel, the same on every engine.
 */

const warmUpEvents = 50_000
const callsUnderWay = 2
const inFlight = 256
/** Asking what has been emitted costs the engine something too. */
const emittedPollMs = 10
const latencyPerSecond = 1_000
const latencySeconds = 8
const latencyWarmUpSeconds = 2
/** Of what is published before the measuring begins: enough to reach full speed, on a slow engine not for ever. */
const warmUpShareMax = 0.1

export async function publishBatch(bus: Bus, count: number): Promise<Figures> {
  await publishBacklog(bus, Math.min(warmUpEvents, count * warmUpShareMax))
  const calls = Array.from({ length: 50 }, (_, c) =>
    Array.from({ length: batchEvents }, (__, i) => orders.event(orderOf(c * batchEvents + i))),
  )
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const started = performance.now()
  const publishers = Array.from({ length: callsUnderWay }, async (_, p) => {
    for (let c = p; c < count / batchEvents; c += callsUnderWay)
      await bus.publishMany(calls[c % calls.length]!)
  })
  await Promise.all(publishers)
  const eventsPerSecond = rate(count, started)
  delay.disable()
  return { eventsPerSecond, loopDelayP99Ms: delay.percentile(99) / 1e6 }
}

export async function publishConcurrent(bus: Bus, count: number): Promise<Figures> {
  const run = async (total: number): Promise<void> => {
    let next = 0
    const publishers = Array.from({ length: inFlight }, async () => {
      while (next < total) await bus.publish(orders, orderOf(next++))
    })
    await Promise.all(publishers)
  }
  await run(count * warmUpShareMax)
  const started = performance.now()
  await run(count)
  return { eventsPerSecond: rate(count, started) }
}

export async function processAtLeastOnce(bus: Bus, count: number): Promise<Figures> {
  await publishBacklog(bus, count)
  let handled = 0
  const started = performance.now()
  bus.consume(orders, { group: 'bench', guarantee: 'at-least-once' }, async () => {
    handled++
  })
  while (handled < count) await pause(2)
  return { eventsPerSecond: rate(count, started) }
}

/** One state change and one emitted event each; `more.also` may do more in the same unit. */
export async function processExactlyOnce(
  bus: Bus,
  count: number,
  more?: {
    readonly concurrency: number
    readonly also: (order: Order, tx: Transaction) => Promise<unknown>
  },
): Promise<Figures> {
  await publishBacklog(bus, count)
  const started = performance.now()
  bus.consume(orders, { group: 'bench', concurrency: more?.concurrency }, async (event, tx) => {
    await sumPerCustomer(event, tx)
    if (more !== undefined) await more.also(event.data, tx)
  })
  // The last unit counts too: measured until everything emitted is in the log.
  while ((await emitted(bus)) < count) await pause(emittedPollMs)
  return { eventsPerSecond: rate(count, started) }
}

/** What exactly-once processing does for each event: one state change and one emitted event. */
export async function sumPerCustomer({ data }: { readonly data: Order }, tx: Transaction): Promise<void> {
  const state = tx.state<number>('sum')
  const sum = ((await state.get()) ?? 0) + data.total
  await state.set(sum)
  tx.emit(totals, { customer: data.customer, sum })
}

async function emitted(bus: Bus): Promise<number> {
  const bounds = await bus.engine.bounds(totals.name)
  return bounds.reduce((sum, { end }) => sum + end, 0)
}

export async function latency(bus: Bus): Promise<Figures> {
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
  while (latencies.length < latencyPerSecond * (latencySeconds + latencyWarmUpSeconds)) await pause(5)
  return latencyFigures(latencies)
}

/** Calls `send` at a steady rate; its argument is the running number. */
export async function steadily(send: (n: number) => void): Promise<void> {
  const started = performance.now()
  const total = latencyPerSecond * (latencySeconds + latencyWarmUpSeconds)
  for (let n = 0; n < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * latencyPerSecond))
    while (n < due) send(n++)
    await pause(1)
  }
}

export function latencyFigures(latencies: readonly number[]): Figures {
  const counted = latencies.slice(latencyPerSecond * latencyWarmUpSeconds)
  return { p50Ms: percentile(counted, 0.5), p99Ms: percentile(counted, 0.99), samples: counted.length }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
