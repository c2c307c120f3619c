import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { openBus, topic } from '../../src/index.ts'
import {
  checkHistory,
  type HistoryEvent,
  HistoryProbe,
  HistoryRecorder,
  reportText,
} from '../../src/testing/history/index.ts'

const orders = topic<number>('orders', { partitions: 1, key: () => 'k' })

/** The engine, but `then` runs between its answer about bounds and whoever asked. */
function answeringLate(engine: Engine, then: () => Promise<void>): Engine {
  return new Proxy(engine, {
    get(target, name) {
      if (name !== 'bounds') {
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return async (wanted: string) => {
        const bounds = await target.bounds(wanted)
        await then()
        return bounds
      }
    },
  })
}

test('what is acknowledged while a log is asked for its end need not be in the answer', async () => {
  const lines: HistoryEvent[] = []
  const file = { append: (line: string) => void lines.push(JSON.parse(line)) }
  const clock = { monotonic: () => performance.now() }
  const probe = new HistoryProbe(new HistoryRecorder({ node: 'n', clock, file }))
  const publish = () => probe.publish(bus, { topic: orders, data: 1, id: 'a', key: 'k' })
  const bus = await openBus({ engine: answeringLate(memory(), publish), topics: [orders] })
  await probe.opened(bus, [orders])
  await probe.readAll(bus, orders)
  await bus.stop()
  const report = checkHistory(lines, { gates: { minOk: { publish: 1 } } })
  assert.equal(report.verdict, 'valid', reportText(report))
})
