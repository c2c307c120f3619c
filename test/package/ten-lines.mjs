import { openBus, topic } from 'semel'
import { memory } from 'semel/memory'

const orders = topic('orders', { key: (order) => order.customer })
const bus = await openBus({ engine: memory(), topics: [orders] })
const { promise: total, resolve } = Promise.withResolvers()
bus.consume(orders, { group: 'billing' }, (event) => resolve(event.data.total))
await bus.publish(orders, { customer: 'ada', total: 12 })
console.log(`billed ${await total}`)
await bus.stop()
