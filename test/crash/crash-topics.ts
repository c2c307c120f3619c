import { type Durability, topic } from '../../src/index.ts'

export interface Order {
  readonly n: number
  readonly customer: string
  readonly amount: number
}

export interface Total {
  readonly customer: string
  readonly sum: number
  readonly n: number
}

export const orders = topic<Order>('orders', { partitions: 2, key: (order) => order.customer })
export const payments = topic<{ n: number }>('payments', { partitions: 1 })
export const totals = topic<Total>('totals', { partitions: 2, key: (total) => total.customer })
export const crashTopics = [orders, payments, totals] as const
export const numbers = topic<{ n: number; filler: string }>('numbers', { partitions: 1 })
/** Numbers that are published on a failing disk. */
export const faultEvents = 30
export const crashGroup = 'sums'
/** Orders published in each life; a multiple of 4. */
export const eventsPerLife = 80
/** A member that was killed holds its partitions so long. */
export const crashLeaseMs = 200

export function orderOf(n: number): Order {
  return { n, customer: `customer-${n % 7}`, amount: 1 + (n % 5) }
}

/** How a program of a crash scenario works. */
export interface Scenario {
  readonly durability: Durability
  readonly concurrency: number
  /** Which events write a row of the user's own table. */
  readonly sql: 'none' | 'some' | 'all'
}

export const mixedScenario: Scenario = { durability: 'fsync', concurrency: 16, sql: 'some' }

/** The twelve scenarios of the campaign. */
export const scenarios: readonly Scenario[] = (['fsync', 'os'] as const).flatMap((durability) =>
  [1, 16].flatMap((concurrency) =>
    (['none', 'some', 'all'] as const).map((sql) => ({ durability, concurrency, sql })),
  ),
)

export function usesSql({ sql }: Scenario, n: number): boolean {
  return sql === 'all' || (sql === 'some' && n % 5 === 0)
}
