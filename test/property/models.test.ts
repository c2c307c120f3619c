import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Bus, hasCode, openBus, topic } from '../../src/index.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { withFailingCommits } from '../support/wrap-engine.ts'

/** A failing run prints its seed and the smallest counterexample; SEMEL_SEED repeats it. */
const seed = Number(process.env.SEMEL_SEED ?? Date.now() % 2 ** 31)
const runs = { memory: 60, sqlite: 6 }

const log = topic<{ n: number }>('log', { partitions: 3 })
const work = topic<{ key: string; n: number }>('work', { partitions: 2, key: (item) => item.key })
const sums = topic<{ key: string; n: number; sum: number }>('sums', { partitions: 1 })

interface Publish {
  readonly id: string
  readonly key: string
  readonly n: number
}

const event = fc.record({
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
  key: fc.constantFrom('x', 'y', 'z', ''),
  n: fc.integer({ min: 0, max: 2 }),
})
const calls = fc.array(fc.array(event, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 })

/** The log as a list: what one call, made after all others were answered, does to it. */
class ListModel {
  readonly events: Publish[] = []

  call(events: readonly Publish[]): 'ok' | 'ID_CONFLICT' {
    const added: Publish[] = []
    for (const candidate of events) {
      const known = [...this.events, ...added].find(({ id }) => id === candidate.id)
      if (known === undefined) added.push(candidate)
      else if (known.n !== candidate.n || known.key !== candidate.key) return 'ID_CONFLICT'
    }
    this.events.push(...added)
    return 'ok'
  }
}

async function publishOne(bus: Bus, events: readonly Publish[]): Promise<string> {
  try {
    await bus.publishMany(events.map(({ id, key, n }) => log.event({ n }, { id, key })))
    return 'ok'
  } catch (error) {
    return hasCode(error, 'ID_CONFLICT') ? 'ID_CONFLICT' : String(error)
  }
}

async function requireSameLog(bus: Bus, model: ListModel): Promise<void> {
  const stored = await readAll(bus, log)
  for (const key of ['x', 'y', 'z', '']) {
    const own = stored.filter((found) => found.key === key)
    assert.deepEqual(
      own.map(({ id, data }) => [id, data.n]),
      model.events.filter((expected) => expected.key === key).map(({ id, n }) => [id, n]),
    )
  }
  assert.equal(stored.length, model.events.length)
}

function foldOf(items: readonly { key: string; n: number }[]): { key: string; n: number; sum: number }[] {
  let sum = 0
  return items.map(({ key, n }) => {
    sum += n
    return { key, n, sum }
  })
}

for (const { name, create } of worlds) {
  describe(`models on ${name} (seed ${seed})`, () => {
    test('P2 P3 N1 N2 N4: the log is a list, over restarts', async () => {
      const property = fc.asyncProperty(calls, fc.nat(11), async (sequence, restartAt) => {
        const world = create()
        const model = new ListModel()
        let bus = await openBus({ engine: world.engine(), topics: [log] })
        for (const [i, events] of sequence.entries()) {
          if (i === restartAt) {
            await bus.stop()
            bus = await openBus({ engine: world.engine(), topics: [log] })
          }
          assert.equal(await publishOne(bus, events), model.call(events))
        }
        await requireSameLog(bus, model)
        await bus.stop()
      })
      await fc.assert(property, { seed, numRuns: runs[name] })
    })

    test('U1: of calls made at once, exactly those that were acknowledged are there, whole', async () => {
      const property = fc.asyncProperty(calls, async (sequence) => {
        const bus = await openBus({ engine: create().engine(), topics: [log] })
        const ends = await Promise.allSettled(
          sequence.map((events) =>
            bus.publishMany(events.map(({ id, key, n }) => log.event({ n }, { id, key }))),
          ),
        )
        const stored = await readAll(bus, log)
        const acknowledged = new Map<string, { partition: number; offset: number }>()
        for (const end of ends) {
          if (end.status === 'rejected') {
            assert.ok(['ID_CONFLICT', 'PREDECESSOR_FAILED'].includes(end.reason.code))
            assert.equal(end.reason.outcome, 'not-applied')
            continue
          }
          for (const { id, partition, offset } of end.value) {
            assert.deepEqual(acknowledged.get(id) ?? { partition, offset }, { partition, offset })
            acknowledged.set(id, { partition, offset })
          }
        }
        assert.deepEqual(
          new Map(stored.map(({ id, partition, offset }) => [id, { partition, offset }])),
          new Map(stored.map(({ id }) => [id, acknowledged.get(id)])),
        )
        assert.equal(stored.length, acknowledged.size)
        await bus.stop()
      })
      await fc.assert(property, { seed, numRuns: runs[name] })
    })

    test('X1 O1: a group is a fold over its keys, whatever fails on the way', async () => {
      const items = fc.array(fc.record({ key: fc.constantFrom('x', 'y', 'z'), n: fc.nat(9) }), {
        minLength: 1,
        maxLength: 60,
      })
      const property = fc.asyncProperty(
        items,
        fc.nat(),
        fc.constantFrom(1, 2, 16),
        async (list, chance, concurrency) => {
          const random = new SeededRandom(chance)
          const engine = withFailingCommits(create().engine(), () => random.fraction(), 0.3)
          const bus = await openBus({ engine, topics: [work, sums] })
          const retry = { attempts: 100, baseDelayMs: 0, maxDelayMs: 1 }
          bus.consume(work, { group: 'g', concurrency, retry }, async ({ data: { key, n } }, tx) => {
            const state = tx.state<number>('sum')
            const sum = ((await state.get()) ?? 0) + n
            if (random.fraction() < 0.1) throw new Error('before')
            await state.set(sum)
            tx.emit(sums, { key, n, sum }, { key })
            if (random.fraction() < 0.1) throw new Error('after')
          })
          for (const item of list) void bus.publish(work, item)
          await until(async () => (await readAll(bus, sums)).length >= list.length)
          await until(async () => (await bus.status()).groups.every(({ lagEvents }) => lagEvents === 0))

          const emitted = (await readAll(bus, sums)).map(({ data }) => data)
          for (const key of ['x', 'y', 'z']) {
            const folded = foldOf(list.filter((item) => item.key === key))
            assert.deepEqual(
              emitted.filter((found) => found.key === key),
              folded,
            )
          }
          await bus.stop()
        },
      )
      await fc.assert(property, { seed, numRuns: runs[name] / 2 })
    })
  })
}
