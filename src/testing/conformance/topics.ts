import assert from 'node:assert/strict'
import { record, records, refuses } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'

const hourMs = 3_600_000

export const topicTests: readonly Case[] = [
  check('the facts are the engine’s own', async (bed) => {
    const { engine } = await bed.instance()
    assert.deepEqual(engine.facts, bed.options.facts)
    assert.ok(engine.facts.durability.length > 0)
  }),

  check('declareTopics creates what is missing, empty', async (bed) => {
    const { engine } = await bed.instance()
    await engine.declareTopics([
      { name: 'orders', partitions: 3, dedupWindowMs: 0 },
      { name: 'invoices', partitions: 1, dedupWindowMs: 0 },
    ])
    const bounds = await engine.bounds('orders')
    assert.equal(bounds.length, 3)
    for (const { earliest, end } of bounds) assert.equal(end, earliest)
    assert.equal((await engine.bounds('invoices')).length, 1)
  }),

  check('declaring the same again changes nothing', async (bed) => {
    const one = await bed.instance()
    await one.declare({ name: 'orders', partitions: 2 })
    await one.publish(records(3))
    await one.declare({ name: 'orders', partitions: 2 }, { name: 'more' })
    assert.deepEqual(await one.ids(), ['e0', 'e1', 'e2'])
    await one.engine.declareTopics([])
  }),

  check(
    'another partition count is TOPIC_CONTRADICTION and changes nothing, also after reopening',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ name: 'orders', partitions: 2 })
      const declareWrong = () => one.declare({ name: 'new' }, { name: 'orders', partitions: 3 })
      await refuses('TOPIC_CONTRADICTION', declareWrong)
      await refuses('UNKNOWN_TOPIC', () => one.engine.bounds('new'))
      assert.equal((await one.engine.bounds('orders')).length, 2)
      const again = await bed.reopen(one)
      await refuses('TOPIC_CONTRADICTION', () => again.declare({ name: 'orders', partitions: 1 }))
      await again.declare({ name: 'orders', partitions: 2 })
    },
  ),

  checkIf({ dedup: 'topic' }, 'dedup cannot be switched on or off later', async (bed) => {
    const one = await bed.instance()
    await one.declare({ name: 'with', dedupWindowMs: hourMs }, { name: 'without', dedupWindowMs: 0 })
    await refuses('TOPIC_CONTRADICTION', () => one.declare({ name: 'with', dedupWindowMs: 0 }))
    await refuses('TOPIC_CONTRADICTION', () => one.declare({ name: 'without', dedupWindowMs: hourMs }))
    await one.declare({ name: 'with', dedupWindowMs: hourMs }, { name: 'without', dedupWindowMs: 0 })
  }),

  checkIf({ dedup: 'topic' }, 'a changed window length is stored', async (bed) => {
    const one = await bed.instance()
    await one.declare({ dedupWindowMs: hourMs })
    await one.declare({ dedupWindowMs: 2 * hourMs })
    const again = await bed.reopen(one)
    const { topics } = await again.engine.status()
    assert.equal(topics[0]?.dedupWindowMs, 2 * hourMs)
  }),

  checkIf(
    { dedup: 'topic', appendClock: 'process' },
    'a changed window length counts at once (N3)',
    async (bed) => {
      const one = await bed.instance()
      await one.declare({ dedupWindowMs: hourMs })
      await one.publish([record('a')])
      bed.shiftClock(2 * hourMs)
      await one.declare({ dedupWindowMs: 8 * hourMs })
      await one.publish([record('b')])
      bed.shiftClock(4 * hourMs)
      assert.deepEqual((await one.publish([record('b')])).duplicates, [0])
      await one.declare({ dedupWindowMs: hourMs })
      assert.deepEqual((await one.publish([record('b')])).duplicates, [])
    },
  ),

  checkIf({ instances: 'many' }, 'topics are there for every engine on the storage', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await one.declare({ name: 'orders', partitions: 2 })
    await two.declare({ name: 'orders', partitions: 2 })
    await refuses('TOPIC_CONTRADICTION', () => two.declare({ name: 'orders', partitions: 4 }))
  }),

  checkIf({ instances: 'many' }, 'two engines may declare the same topic at the same time', async (bed) => {
    const [one, two] = [await bed.instance(), await bed.instance()]
    await Promise.all([one, two, one, two].map((each) => each.declare({ partitions: 2 })))
    await Promise.all([one.publish(records(2, 'a')), two.publish(records(2, 'b'))])
    assert.equal((await one.ids()).length, 4)
  }),

  check('a topic nobody declared is UNKNOWN_TOPIC', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const { engine } = one
    const read = { topic: 'nowhere', partition: 0, offset: 0, maxEvents: 1, maxBytes: 1 }
    await refuses('UNKNOWN_TOPIC', () => engine.read(read))
    await refuses('UNKNOWN_TOPIC', () => engine.bounds('nowhere'))
    await refuses('UNKNOWN_TOPIC', () => engine.offsetAt('nowhere', 0, 0))
    await refuses('UNKNOWN_TOPIC', () => one.publish([record('a')], { topic: 'nowhere' }))
    await refuses('UNKNOWN_TOPIC', () => engine.read({ ...read, topic: 'orders', partition: 1 }))
    await refuses('UNKNOWN_TOPIC', () => one.publish([record('a')], { partition: 1 }))
    assert.deepEqual(await one.ids(), [])
  }),
]
