import { topic } from '../../src/index.ts'

export interface Order {
  readonly customer: string
  readonly n: number
}

export const orders = topic<Order>('orders', { partitions: 4, key: (order) => order.customer })
export const notes = topic<unknown>('notes', { partitions: 2 })
