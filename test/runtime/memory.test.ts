import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { limits } from '../../src/limits.ts'
import { TaskMemory } from '../../src/runtime/task-memory.ts'
import { until } from '../support/until.ts'

const partitions = 8
const large = topic<{ key: string; text: string }>('large', { partitions, key: ({ key }) => key })
const other = topic<number>('other', { partitions: 1, key: () => 'k' })
const groups = ['a', 'b', 'c']
const events = 300
const eventBytes = 200_000

/** Counts what was read of `large` and not handled yet, over all groups. */
class Held {
  bytes = 0
  most = 0

  add(bytes: number): void {
    this.bytes += bytes
    this.most = Math.max(this.most, this.bytes)
  }

  watch(engine: Engine): Engine {
    const read = engine.read.bind(engine)
    return Object.assign(engine, {
      read: async (request: Parameters<Engine['read']>[0]) => {
        const result = await read(request)
        if (request.topic === large.name) this.add(result.events.length * eventBytes)
        return result
      },
    })
  }
}

test('what all tasks of a bus hold of events they have read is bounded in bytes, and each of them goes on', async () => {
  const held = new Held()
  await using bus = await openBus({ engine: held.watch(memory()), topics: [large, other] })
  const text = 'x'.repeat(eventBytes)
  for (let n = 0; n < events; n++) await bus.publish(large, { key: `k${n}`, text })
  const begun = new Set<string>()
  let handled = 0
  let isOpen = false
  for (const group of groups) {
    bus.consume(large, { group, guarantee: 'at-least-once', concurrency: 1 }, async ({ partition }) => {
      begun.add(`${group}/${partition}`)
      await until(() => isOpen)
      held.add(-eventBytes)
      handled++
    })
  }
  await until(() => begun.size === groups.length * partitions)
  // In this time a task without a bound reads all there is.
  for (let n = 0; n < 100; n++) await bus.publish(other, n)
  isOpen = true
  await until(() => handled === events * groups.length)
  // A task alone may have read half of all; what comes to each of the others is one event at least.
  const bound = limits.readAheadBytesMax + groups.length * partitions * eventBytes
  assert.ok(held.most <= bound, `${held.most} bytes were held, of ${events * groups.length * eventBytes}`)
})

test('a task has its share by the number of tasks; who holds nothing may always read one event', () => {
  const mib = 2 ** 20
  const shared = new TaskMemory(32 * mib)
  const [first, second] = [{ bytes: 0 }, { bytes: 0 }]
  shared.join(first)
  assert.equal(shared.allowance(first)?.bytes, 8 * mib)
  first.bytes = 17 * mib
  assert.equal(shared.allowance(first), undefined, 'half of its share is taken')
  shared.join(second)
  assert.equal(shared.allowance(second)?.bytes, 4 * mib)
  first.bytes = 30 * mib
  assert.deepEqual(shared.allowance(second), { events: 1, bytes: 1 }, 'the first holds what it had')
  second.bytes = 1
  assert.equal(shared.allowance(second), undefined)
  shared.leave(first)
  assert.equal(shared.allowance(second)?.bytes, 8 * mib)
})

test('open units of all tasks are bounded in bytes by their number', () => {
  const shared = new TaskMemory()
  for (let n = 0; n < 64; n++) shared.join({ bytes: 0 })
  assert.equal(2 * 64 * shared.unitBytes, limits.openUnitsBytesMax)
})
