import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { type Durability, openBus, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { worlds } from '../support/worlds.ts'
import { wrapEngine } from '../support/wrap-engine.ts'

const one = topic<{ n: number }>('one', { partitions: 1 })

for (const { name, create } of worlds) {
  describe(`stopping on ${name}`, () => {
    test('twice is fine, in any form; everything after it says BUS_CLOSED', async () => {
      const bus = await openBus({ engine: create().engine(), topics: [one] })
      bus.consume(one, { group: 'g' }, () => undefined)

      await Promise.all([bus.stop(), bus.stop()])
      await bus[Symbol.asyncDispose]()

      const after: (() => unknown)[] = [
        () => bus.publish(one, { n: 1 }),
        () => bus.publishMany([]),
        () => bus.read(one),
        () => bus.consume(one, { group: 'g' }, () => undefined),
        () => bus.status(),
        () => bus.deadLetters('g'),
      ]
      for (const operation of after) {
        assert.equal((await failsWith('BUS_CLOSED', operation)).outcome, 'not-applied')
      }
    })

    test('publishes under way are finished first', async () => {
      const world = create()
      const bus = await openBus({ engine: world.engine(), topics: [one] })
      const calls = Array.from({ length: 100 }, (_, n) => bus.publish(one, { n }))

      await bus.stop()

      assert.equal(
        (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length,
        100,
      )
      await using again = await openBus({ engine: world.engine(), topics: [one] })
      assert.equal((await readAll(again, one)).length, 100)
    })

    test('a wrong option of stop is refused, and the bus goes on', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [one] })

      await failsWith('INVALID_OPTION', bus.stop({ deadlineMs: -1 }))
      await failsWith('UNKNOWN_OPTION', bus.stop({ deadline: 5 } as never))

      assert.equal((await bus.publish(one, { n: 1 })).offset, 0)
    })

    test('D6: a topic is declared alike by everybody, or not at all', async () => {
      const world = create()
      const bus = await openBus({ engine: world.engine(), topics: [one] })
      await bus.stop()
      const wider = topic('one', { partitions: 2 })
      const forgetful = topic('one', { partitions: 1, dedup: false })

      for (const other of [wider, forgetful]) {
        await failsWith('TOPIC_CONTRADICTION', openBus({ engine: world.engine(), topics: [other] }))
      }
      await using again = await openBus({ engine: world.engine(), topics: [one] })
      assert.equal((await again.publish(one, { n: 1 })).offset, 0)
    })
  })
}

describe('durability', () => {
  test('D1 D2 D3: the default is the strongest level; a publish may ask for another', async () => {
    const asked: Durability[] = []
    for (const { create, name } of worlds) {
      const inner = create().engine()
      const engine = wrapEngine(inner, {
        append: async (group, options) => {
          asked.push(options.durability)
          return await inner.append(group, options)
        },
      })
      await using bus = await openBus({ engine, topics: [one] })
      await bus.publish(one, { n: 1 })
      if (name === 'memory') continue
      await bus.publish(one, { n: 2 }, {}, { durability: 'os' })
      await bus.publish(one, { n: 3 }, {}, { durability: 'memory' })
      assert.equal((await readAll(bus, one)).length, 3)
      assert.equal((await bus.status()).engine.durability, 'fsync')
    }
    assert.deepEqual(asked, ['memory', 'fsync', 'os', 'memory'])
  })

  test('D7: a level that the engine does not have is refused, at open and at publish', async () => {
    const error = await failsWith(
      'INVALID_OPTION',
      openBus({ engine: memory(), topics: [one], durability: 'fsync' }),
    )
    assert.equal(error.field, 'durability')
    await using bus = await openBus({ engine: memory(), topics: [one] })
    await failsWith('INVALID_OPTION', bus.publish(one, { n: 1 }, {}, { durability: 'fsync' }))
    assert.equal((await readAll(bus, one)).length, 0)
  })
})
