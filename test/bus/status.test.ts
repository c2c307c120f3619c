import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryLog, memory } from '../../src/engines/memory/index.ts'
import { openBus, topic } from '../../src/index.ts'

test('lag counts partitions that no member of the group has ever taken', async () => {
  const log = new MemoryLog()
  const orders = topic<string>('orders', { partitions: 2, key: (key) => key })
  await using bus = await openBus({ engine: memory({ log }), topics: [orders] })
  for (const key of ['a', 'b', 'c', 'd', 'e']) await bus.publish(orders, key)
  await log.leases.acquire({ group: 'g', topic: 'orders', partition: 1 }, 'somebody', 10_000, 0)

  const { groups } = await bus.status()

  assert.deepEqual(
    groups[0]?.tasks.map(({ partition, epoch }) => [partition, epoch]),
    [
      [0, 0],
      [1, 1],
    ],
  )
  assert.equal(groups[0]?.lagEvents, 5)
})
