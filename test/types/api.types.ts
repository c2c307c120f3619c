/** Checked by the compiler alone: what a user's editor must accept, and what it must refuse. */
import {
  type Bus,
  type Delivery,
  RawJson,
  type Receipt,
  type StandardSchema,
  topic,
} from '../../src/index.ts'

interface Order {
  readonly customer: string
  readonly total: number
}

declare const bus: Bus
declare const orderSchema: StandardSchema<Order>

const byKey = topic('orders', { key: (order: Order) => order.customer })
const bySchema = topic('orders', { schema: orderSchema, key: (order) => order.customer })
const byType = topic<Order>('orders')
const raw = topic<RawJson>('raw')

export async function publishes(): Promise<Receipt[]> {
  await bus.publish(byKey, { customer: 'c', total: 1 }, { id: 'a' }, { durability: 'os' })
  await bus.publish(bySchema, { customer: 'c', total: 1 })
  await bus.publish(raw, new RawJson('{}'))
  // @ts-expect-error the data does not fit the topic
  await bus.publish(byType, { customer: 'c' })
  // @ts-expect-error no such attribute
  await bus.publish(byType, { customer: 'c', total: 1 }, { idd: 'a' })
  // @ts-expect-error no such durability
  await bus.publish(byType, { customer: 'c', total: 1 }, {}, { durability: 'disk' })
  return await bus.publishMany([byType.event({ customer: 'c', total: 1 }), raw.event(new RawJson('1'))])
}

export function consumes(): void {
  bus.consume(byKey, { group: 'g' }, async (event, tx) => {
    const total: number = event.data.total
    const state = tx.state<number>('sum')
    await state.set(((await state.get()) ?? 0) + total)
    tx.emit(byType, { customer: event.data.customer, total })
    // @ts-expect-error the state holds numbers
    await state.set('one')
    // @ts-expect-error the data does not fit the topic
    tx.emit(byType, { total })
  })
  // @ts-expect-error a group is needed
  bus.consume(byKey, {}, () => undefined)
  // @ts-expect-error no such guarantee
  bus.consume(byKey, { group: 'g', guarantee: 'exactlyonce' }, () => undefined)
}

export async function reads(): Promise<Delivery<Order> | undefined> {
  for await (const event of bus.read(byKey, { from: { time: new Date() } })) {
    const customer: string = event.data.customer
    if (customer === '') break
  }
  return undefined
}
