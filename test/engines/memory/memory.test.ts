import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { guardEngine } from '../../../src/engine/guard.ts'
import { MemoryLog, memory } from '../../../src/engines/memory/index.ts'
import { ManualPlatform } from '../../engine/manual-platform.ts'

function group(id: string) {
  const record = { id, source: '/s', type: 't', time: 0, key: null, data: id, attributes: undefined }
  const batch = { topic: 't', partition: 0, records: [record], callOf: undefined, fresh: false }
  return { calls: 1, batches: [batch], failuresSeen: 0 }
}

async function open(log: MemoryLog, platform = new ManualPlatform()) {
  const engine = guardEngine(memory({ log }))
  await engine.open({ platform, durability: 'memory', member: 'm' })
  await engine.declareTopics([{ name: 't', partitions: 1, dedupWindowMs: 1_000 }])
  return engine
}

describe('memory', () => {
  test('each engine without a log of its own begins empty', async () => {
    const engines = [memory(), memory()].map(guardEngine)
    const platform = new ManualPlatform()
    for (const engine of engines) await engine.open({ platform, durability: 'memory', member: 'm' })
    assert.notEqual(engines[0]!.logId, engines[1]!.logId)
    for (const engine of engines) await engine.close()
  })

  test('all engines on a log follow the clock of the first one, so they agree on windows', async () => {
    const log = new MemoryLog()
    const slow = new ManualPlatform()
    slow.shiftWallClock(-60_000)
    const [first, second] = [await open(log), await open(log, slow)]
    await first.append(group('a'), { durability: 'memory' })
    await second.append(group('b'), { durability: 'memory' })
    const { events } = await second.read({
      topic: 't',
      partition: 0,
      offset: 0,
      maxEvents: 9,
      maxBytes: 9_000,
    })
    assert.equal(events[0]!.appendTime, events[1]!.appendTime)
    await first.close()
    await second.close()
  })

  test('under a platform that repeats itself, a run repeats itself', async () => {
    const runs = await Promise.all(
      [1, 2].map(async () => {
        const platform = new ManualPlatform()
        const engine = await open(new MemoryLog(), platform)
        for (let i = 0; i < 5; i++) {
          await engine.append(group(`${i}`), { durability: 'memory' })
          await platform.advance(10)
        }
        const { events } = await engine.read({
          topic: 't',
          partition: 0,
          offset: 0,
          maxEvents: 9,
          maxBytes: 9_000,
        })
        await engine.close()
        return [engine.logId, events]
      }),
    )
    assert.deepEqual(runs[0], runs[1])
  })

  test('a reader that never rests leaves room for timers', async () => {
    const engine = await open(new MemoryLog())
    await engine.append(group('a'), { durability: 'memory' })
    let ticked = false
    setImmediate(() => {
      ticked = true
    })
    for (let i = 0; i < 3; i++) {
      await engine.read({ topic: 't', partition: 0, offset: 0, maxEvents: 1, maxBytes: 1 })
    }
    assert.ok(ticked)
    await engine.close()
  })
})
