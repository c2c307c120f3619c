import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Unit } from '../../src/engine/engine.ts'
import { hasCode } from '../../src/errors.ts'
import { Gate } from '../support/gate.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { storageFailure, wrapEngine } from '../support/wrap-engine.ts'
import { countAndEmit, counts, group, lane, openOn, untilCaughtUp } from './words.ts'

/** A unit that finished something above a hole moves no position, so the position cannot tell it from the next one. */
function movesNothing({ from, to, appends }: Unit): boolean {
  return from === to && appends.length > 0
}

for (const { name, create } of worlds) {
  describe(`units that arrive late on ${name}`, () => {
    test('X1 Z1: a unit of unknown outcome that arrives after its task was loaded again is fenced', async () => {
      const inner = create().engine()
      const hole = new Gate()
      let late: Unit | undefined
      let arrival: unknown
      const engine = wrapEngine(inner, {
        commit: async (unit) => {
          if (late !== undefined || !movesNothing(unit)) return await inner.commit(unit)
          late = unit
          throw storageFailure('unknown')
        },
        load: async (lease) => {
          const position = await inner.load(lease)
          if (late !== undefined && arrival === undefined)
            arrival = await inner.commit(late).catch((error: unknown) => error)
          return position
        },
      })
      await using bus = await openOn(engine)
      using _ = hole
      const consumer = bus.consume(lane, group('g'), async (event, tx) => {
        if (event.data.n === 1) await hole.opened
        await countAndEmit(event, tx)
      })
      await bus.publish(lane, { key: 'k0', n: 0 })
      await untilCaughtUp(bus, 'g')
      const [before] = consumer.tasks()

      await bus.publish(lane, { key: 'k0', n: 1 })
      await bus.publish(lane, { key: 'k1', n: 2 })
      await until(() => late !== undefined)
      hole.open()
      await untilCaughtUp(bus, 'g')

      assert.ok(hasCode(arrival, 'FENCED'), String(arrival))
      assert.ok(consumer.tasks()[0]!.epoch > before!.epoch)
      const emitted = (await readAll(bus, counts)).map(({ data }) => `${data.key} ${data.count}`)
      assert.deepEqual(emitted.sort(), ['k0 1', 'k0 2', 'k1 1'])
    })

    test('X1: so is a unit that was still under way when reading failed', async () => {
      const inner = create().engine()
      const hole = new Gate()
      const sent = new Gate()
      let late: Unit | undefined
      let arrival: unknown
      const engine = wrapEngine(inner, {
        commit: async (unit) => {
          if (late !== undefined || !movesNothing(unit)) return await inner.commit(unit)
          late = unit
          await sent.opened
        },
        read: async (request) => {
          if (late !== undefined && arrival === undefined) throw storageFailure('not-applied')
          return await inner.read(request)
        },
        load: async (lease) => {
          const position = await inner.load(lease)
          if (late !== undefined && arrival === undefined)
            arrival = await inner.commit(late).catch((error: unknown) => error)
          return position
        },
      })
      await using bus = await openOn(engine)
      using _hole = hole
      using _sent = sent
      bus.consume(lane, group('g'), async (event, tx) => {
        if (event.data.n === 1 && late === undefined) await hole.opened
        await countAndEmit(event, tx)
      })
      await bus.publish(lane, { key: 'k0', n: 0 })
      await untilCaughtUp(bus, 'g')

      await bus.publish(lane, { key: 'k0', n: 1 })
      await bus.publish(lane, { key: 'k1', n: 2 })
      await until(() => late !== undefined)
      await bus.publish(lane, { key: 'k2', n: 3 })
      hole.open()
      await untilCaughtUp(bus, 'g')

      assert.ok(hasCode(arrival, 'FENCED'), String(arrival))
      assert.equal((await readAll(bus, counts)).filter(({ data }) => data.key === 'k1').length, 1)
    })
  })
}
