import { openBus, topic } from 'semel'
import { memory } from 'semel/memory'

const orders = topic('orders')
const bus = await openBus({ engine: memory(), topics: [orders] })
const { promise: total, resolve } = Promise.withResolvers()
await bus.consume(orders, { group: 'billing' }, async (event) => resolve(event.data.total))
await bus.publish(orders, { key: 'order-1', data: { total: 12 } })
console.log(`billed ${await total}`)
await bus.stop()
