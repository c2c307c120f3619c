import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as v from 'valibot'
import * as z from 'zod'
import { memory } from '../../src/engines/memory/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'

const zodTopic = topic('zod', {
  partitions: 1,
  schema: z.object({ id: z.string(), n: z.number().default(7), deep: z.unknown().optional() }),
  key: (order) => order.id,
})
const valibotTopic = topic('valibot', {
  partitions: 1,
  schema: v.object({ lines: v.array(v.object({ sku: v.string() })) }),
})
const slowTopic = topic<{ n: number; waitMs: number }>('slow', {
  partitions: 1,
  schema: z.object({
    n: z.number(),
    waitMs: z.number().refine(async (ms) => {
      await new Promise((resolve) => setTimeout(resolve, ms))
      return true
    }),
  }),
})
const plain = topic<{ n: number }>('plain', { partitions: 1 })
const topics = [zodTopic, valibotTopic, slowTopic, plain]

function open() {
  return openBus({ engine: memory(), topics })
}

describe('schemas', () => {
  test('what the schema makes of the data is what is stored', async () => {
    await using bus = await open()

    await bus.publish(zodTopic, { id: 'a' } as never)

    const [event] = await readAll(bus, zodTopic)
    assert.deepEqual(event?.data, { id: 'a', n: 7 })
    assert.equal(event?.key, 'a')
  })

  test('a mismatch names the path, and nothing of the call is written', async () => {
    await using bus = await open()

    const byZod = await failsWith('SCHEMA_MISMATCH', bus.publish(zodTopic, { id: 5 } as never))
    const byValibot = await failsWith(
      'SCHEMA_MISMATCH',
      bus.publishMany([
        valibotTopic.event({ lines: [{ sku: 'x' }] }),
        valibotTopic.event({ lines: [{ sku: 'x' }, { sku: 3 as never }] }),
      ]),
    )

    assert.deepEqual([byZod.field, byZod.outcome, byZod.index], ['data.id', 'not-applied', undefined])
    assert.deepEqual([byValibot.field, byValibot.index], ['data.lines.1.sku', 1])
    assert.equal((await readAll(bus, valibotTopic)).length, 0)
  })

  test('what counts is the data as it was at the call, also behind a schema', async () => {
    await using bus = await open()
    const data = { id: 'a', n: 1, deep: { n: 1 } }
    const attributes = { id: 'one' }

    const published = bus.publish(zodTopic, data, attributes)
    data.deep.n = 2
    attributes.id = 'two'
    await published

    const [event] = await readAll(bus, zodTopic)
    assert.deepEqual([event?.data.deep, event?.id], [{ n: 1 }, 'one'])
  })

  test('P2: publishes lie in call order, however long their schemas take', async () => {
    await using bus = await open()

    await Promise.all([30, 0, 10, 0].map((waitMs, n) => bus.publish(slowTopic, { n, waitMs })))

    const stored = await readAll(bus, slowTopic)
    assert.deepEqual(
      stored.map(({ data }) => data.n),
      [0, 1, 2, 3],
    )
  })

  test('P2: a mismatch among slow schemas holds nobody up', async () => {
    await using bus = await open()
    const bad = failsWith('SCHEMA_MISMATCH', bus.publish(slowTopic, { n: 'x' as never, waitMs: 5 }))
    const good = bus.publish(slowTopic, { n: 1, waitMs: 0 })
    await bad
    assert.equal((await good).offset, 0)
  })

  test('P2: what is published behind a slow schema is kept as it was, and waits its turn', async () => {
    await using bus = await open()
    const data = { n: 1 }
    const slow = bus.publishMany([slowTopic.event({ n: 1, waitMs: 20 }), plain.event({ n: 0 })])
    const behind = bus.publish(plain, data)
    data.n = 99

    assert.deepEqual([(await slow)[1]?.offset, (await behind).offset], [0, 1])
    assert.deepEqual(
      (await readAll(bus, plain)).map((event) => event.data.n),
      [0, 1],
    )
  })

  test('an emitted event goes through the schema of its topic', async () => {
    await using bus = await open()
    const consumer = bus.consume(plain, { group: 'g', retry: { attempts: 1 } }, (event, tx) => {
      if (event.data.n === 1) tx.emit(zodTopic, { id: 5 } as never)
      else tx.emit(zodTopic, { id: 'fine' } as never)
    })
    await bus.publish(plain, { n: 1 })
    await bus.publish(plain, { n: 2 })

    await until(async () => (await bus.deadLetters('g').list()).length === 1)
    await until(async () => (await readAll(bus, zodTopic)).length === 1)

    assert.equal((await bus.deadLetters('g').list())[0]?.error.code, 'SCHEMA_MISMATCH')
    assert.deepEqual((await readAll(bus, zodTopic))[0]?.data, { id: 'fine', n: 7 })
    await consumer.stop()
  })

  test('a schema that only answers later cannot be asked by emit, and says so', async () => {
    await using bus = await open()
    bus.consume(plain, { group: 'g', retry: { attempts: 1 } }, (_event, tx) =>
      tx.emit(slowTopic, { n: 1, waitMs: 0 }),
    )
    await bus.publish(plain, { n: 1 })

    await until(async () => (await bus.deadLetters('g').list()).length === 1)

    assert.equal((await bus.deadLetters('g').list())[0]?.error.code, 'UNSUPPORTED')
  })
})
