import { openBus, topic } from 'semel'
import { sqlite } from 'semel/sqlite'

const orders = topic('orders', { key: (order) => order.customer })
const bus = await openBus({ engine: sqlite({ file: 'orders.db' }), topics: [orders] })
const { promise: total, resolve } = Promise.withResolvers()
bus.consume(orders, { group: 'billing' }, (event) => resolve(event.data.total))
await bus.publish(orders, { customer: 'ada', total: 12 })
console.log(`billed ${await total}`)
await bus.stop()
