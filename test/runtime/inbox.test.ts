import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Bus, type ConsumeOptions, openBus, topic } from '../../src/index.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { Gate } from '../support/gate.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'
import { withFailingCommits } from '../support/wrap-engine.ts'
import { countAndEmit, counts, quick, untilCaughtUp, type Word } from './words.ts'

/** A topic without deduplication at publishing, as all are on Kafka. */
const plain = topic<Word>('plain', { partitions: 2, dedup: false, key: ({ key }) => key })
const hour = 3_600_000
const task = (partition: number) => ({ group: 'g', topic: 'plain', partition })

const open = (engine: Parameters<typeof openBus>[0]['engine']): Promise<Bus> =>
  openBus({ engine, topics: [plain, counts] })

const withInbox = (windowMs: number, more: Partial<ConsumeOptions> = {}): ConsumeOptions => {
  return { group: 'g', leaseMs: 600, retry: quick, inbox: { windowMs }, ...more }
}

const publish = (bus: Bus, id: string, n = 0, key = 'k') => bus.publish(plain, { key, n }, { id })

/** Offsets of the events of one id that are no duplicates, by the rule as it is written. */
function acceptedOf(events: readonly { offset: number; appendTime: number }[], windowMs: number): number[] {
  const accepted: (typeof events)[number][] = []
  for (const event of events) {
    const first = accepted.at(-1)
    if (first === undefined || event.appendTime - first.appendTime >= windowMs) accepted.push(event)
  }
  return accepted.map(({ offset }) => offset)
}

async function handled(bus: Bus): Promise<number[]> {
  return (await readAll(bus, counts)).map(({ data }) => data.n)
}

for (const { name, create } of worlds) {
  describe(`the inbox on ${name}`, () => {
    test('N7: an id counts once, at once, behind a restart and in the middle of its first handling', async () => {
      const world = create()
      for (const life of ['first', 'second']) {
        await using bus = await open(world.engine())
        const gate = new Gate()
        const consumer = bus.consume(plain, withInbox(hour), async (event, tx) => {
          if (event.data.n === 1 && life === 'first') await gate.opened
          await countAndEmit(event, tx)
        })
        await bus.publishMany([0, 1, 0, 1].map((n) => plain.event({ key: 'k', n }, { id: `e${n}` })))
        await publish(bus, 'e1', 1)
        gate.open()
        await untilCaughtUp(bus, 'g')
        assert.deepEqual(await handled(bus), [0, 1])
        await consumer.stop()
      }
    })

    test('N3, N7: after the window, counted from the first acceptance, an id is new; duplicates do not extend it', async () => {
      await using bus = await open(create().engine())
      const windowMs = 150
      const seen: number[] = []
      bus.consume(plain, withInbox(windowMs), ({ offset }) => void seen.push(offset))
      let accepted: number[] = []
      await until(async () => {
        await publish(bus, 'e')
        const events = await readAll(bus, plain)
        accepted = acceptedOf(events, windowMs)
        return accepted.length >= 3 && events.length > accepted.length
      })
      await untilCaughtUp(bus, 'g')
      assert.deepEqual(seen, accepted)
    })

    test('N2, N7: another event of a known id is a dead letter, ID_CONFLICT; neither is lost', async () => {
      await using bus = await open(create().engine())
      bus.consume(plain, withInbox(hour), countAndEmit)
      await publish(bus, 'e', 0)
      await publish(bus, 'e', 1)
      await untilCaughtUp(bus, 'g')
      const letters = await bus.deadLetters('g').list()
      assert.deepEqual(await handled(bus), [0])
      assert.deepEqual(
        letters.map(({ error, event }) => [error.code, event.data]),
        [['ID_CONFLICT', { key: 'k', n: 1 }]],
      )
    })

    test('N7: an id whose event became a dead letter counts through its redrive alone', async () => {
      await using bus = await open(create().engine())
      let isBroken = true
      bus.consume(plain, withInbox(hour, { retry: { attempts: 1 } }), async (event, tx) => {
        if (isBroken) throw new Error('not yet')
        await countAndEmit(event, tx)
      })
      for (let i = 0; i < 3; i++) await publish(bus, 'e')
      await until(async () => (await bus.deadLetters('g').list()).length === 1)
      isBroken = false
      await publish(bus, 'e')
      await untilCaughtUp(bus, 'g')
      assert.deepEqual(await handled(bus), [])
      const [letter] = await bus.deadLetters('g').list()
      await bus.deadLetters('g').redrive([letter!])
      await until(async () => (await handled(bus)).length === 1)
    })

    test('N7, X1: commits that fail or lie, members that come and go: each id counts once', async () => {
      const world = create()
      const random = new SeededRandom(7)
      const engine = () => withFailingCommits(world.engine(), () => random.fraction(), 0.2)
      await using bus = await open(world.engine())
      const ids = 150
      const publishing = (async () => {
        for (let i = 0; i < ids; i++) {
          const n = random.below(ids / 3)
          await publish(bus, `e${n}`, n, `k${n % 7}`)
        }
        for (let n = 0; n < ids / 3; n++) await publish(bus, `e${n}`, n, `k${n % 7}`)
      })()
      for (let life = 0; life < 3; life++) {
        await using one = await open(engine())
        await using other = await open(engine())
        for (const each of [one, other])
          each.consume(plain, withInbox(hour, { windowEvents: 20 }), countAndEmit)
        const before = (await handled(bus)).length
        await until(async () => (await handled(bus)).length > Math.min(before, ids / 3 - 1))
      }
      await publishing
      bus.consume(plain, withInbox(hour), countAndEmit)
      await untilCaughtUp(bus, 'g')
      const all = await handled(bus)
      assert.equal(new Set(all).size, ids / 3)
      assert.equal(all.length, ids / 3)
    })

    test('N7: what has left the window is deleted in passing, so that the store stays small', async () => {
      await using bus = await open(create().engine())
      bus.consume(plain, withInbox(20), countAndEmit)
      let published = 0
      const stored = async (): Promise<number> => {
        let entries = 0
        for (const partition of [0, 1]) {
          const request = { task: task(partition), store: 'semel.inbox', after: undefined, limit: 1_000 }
          entries += (await bus.engine.scanState(request)).length
        }
        return entries
      }
      const some = () => {
        const events = Array.from({ length: 100 }, () => {
          published += 1
          return plain.event({ key: `k${published % 9}`, n: published }, { id: `e${published}` })
        })
        return bus.publishMany(events)
      }
      for (let i = 0; i < 10; i++) {
        await some()
        await untilCaughtUp(bus, 'g')
      }
      await until(async () => {
        await publish(bus, `last-${++published}`)
        await publish(bus, `last-${++published}`, 0, 'k2')
        return (await stored()) < 20
      })
    })
  })
}

test('an inbox is a window of time, or none', async () => {
  await using bus = await open(worlds[0]!.create().engine())
  for (const windowMs of [0, -1, 1.5, Number.NaN])
    await failsWith('INVALID_OPTION', () => bus.consume(plain, withInbox(windowMs), countAndEmit))
  const wrong = { group: 'g', inbox: { window: 1 } } as never
  await failsWith('UNKNOWN_OPTION', () => bus.consume(plain, wrong, countAndEmit))
})
