// Publish an event, handle it in a consumer group.
// In a program of your own, import from 'semel' and 'semel/memory'.
import { memory } from '../src/engines/memory/index.ts'
import { openBus, topic } from '../src/index.ts'

interface Order {
  readonly customer: string
  readonly total: number
}

// Events with the same key stay in order; the key comes from the data.
const orders = topic<Order>('orders', { key: (order) => order.customer })

const bus = await openBus({ engine: memory(), topics: [orders] })
const { promise: billed, resolve } = Promise.withResolvers<void>()

bus.consume(orders, { group: 'billing' }, (event) => {
  console.log(`billing ${event.data.customer} for ${event.data.total}`)
  resolve()
})

// Resolves when the event is as safe as the engine makes it; the receipt says where it went.
const receipt = await bus.publish(orders, { customer: 'ada', total: 12 }, { id: 'order-1' })
await billed
console.log(`published ${receipt.id} at offset ${receipt.offset}`)

// The same id again is the same event: it is not stored twice, and the answer is the first one's place.
const again = await bus.publish(orders, { customer: 'ada', total: 12 }, { id: 'order-1' })
console.log(`published ${again.id} again: duplicate ${again.duplicate}, offset ${again.offset}`)

await bus.stop()

// Prints:
// billing ada for 12
// published order-1 at offset 0
// published order-1 again: duplicate true, offset 0
