import { type Bus, topic } from '../src/index.ts'

export interface Order {
  readonly customer: string
  readonly total: number
  readonly note: string
}

const note = 'x'.repeat(150)
export const customers = 10_000
export const batchEvents = 1_000

/** 4 partitions; 200 bytes of JSON an event. */
export const orders = topic<Order>('orders', { partitions: 4, key: (order) => order.customer })
export const totals = topic<{ customer: string; sum: number }>('totals', {
  partitions: 4,
  key: (t) => t.customer,
})

/** The n-th order: 200 bytes as JSON, keys in no order. */
export function orderOf(n: number): Order {
  return { customer: `customer-${String((n * 7919) % customers).padStart(6, '0')}`, total: 1 + (n % 9), note }
}

/** Fills the topic; not part of what is measured. */
export async function publishBacklog(bus: Bus, count: number): Promise<void> {
  let underWay: Promise<unknown>[] = []
  for (let n = 0; n < count; n += batchEvents) {
    underWay.push(
      bus.publishMany(Array.from({ length: batchEvents }, (_, i) => orders.event(orderOf(n + i)))),
    )
    if (underWay.length === 4) {
      await Promise.all(underWay)
      underWay = []
    }
  }
  await Promise.all(underWay)
}
