import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Engine } from '../../src/engine/engine.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { openBus, type PublishLimits, topic } from '../../src/index.ts'
import { Gate } from '../support/gate.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith, failure } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { storageFailure, wrapEngine } from '../support/wrap-engine.ts'

const one = topic<{ n: number }>('one', { partitions: 1 })
const two = topic<{ n: number }>('two', { partitions: 1 })

/** An engine whose appends wait at a gate. */
function gated(): { engine: Engine; gate: Gate; appends: () => number } {
  const inner = memory()
  const gate = new Gate()
  let appends = 0
  const engine = wrapEngine(inner, {
    append: async (group, options) => {
      appends++
      const written = inner.append(group, options)
      await gate.opened
      return await written
    },
  })
  return { engine, gate, appends: () => appends }
}

function busOn(engine: Engine, publish?: PublishLimits) {
  return openBus({ engine, topics: [one, two], publish })
}

describe('the publish queue', () => {
  test('V4: when it is full and may not wait, a publish fails at once with BUSY', async () => {
    const { engine, gate, appends } = gated()
    await using bus = await busOn(engine, { queueEvents: 2, whenFull: 'fail' })
    using _open = gate
    const flying: Promise<unknown>[] = []
    for (const n of [1, 2]) {
      flying.push(bus.publish(one, { n }))
      await until(() => appends() === n)
    }
    flying.push(bus.publish(one, { n: 3 }), bus.publish(one, { n: 4 }))

    const error = await failsWith('BUSY', bus.publish(one, { n: 5 }))

    assert.deepEqual([error.retryable, error.outcome, error.limit, error.actual], [true, 'not-applied', 2, 2])
    gate.open()
    await Promise.all(flying)
    assert.equal((await readAll(bus, one)).length, 4)
  })

  test('V4: a queue bounded by bytes refuses as well', async () => {
    const { engine, gate, appends } = gated()
    await using bus = await busOn(engine, { queueBytes: 150, whenFull: 'fail' })
    using _open = gate
    const flying: Promise<unknown>[] = []
    for (const n of [1, 2]) {
      flying.push(bus.publish(one, { n }))
      await until(() => appends() === n)
    }
    flying.push(bus.publish(one, { n: 3 }))

    await failsWith('BUSY', bus.publish(one, { n: 4 }))

    gate.open()
    await Promise.all(flying)
  })

  test('P2: waiting for room changes no order, also where publishers go on as soon as they may', async () => {
    await using bus = await busOn(memory(), { queueEvents: 3 })
    const called: number[] = []
    const publishers = Array.from({ length: 12 }, async (_, p) => {
      for (let i = 0; i < 40; i++) {
        const n = p * 1000 + i
        called.push(n)
        await bus.publish(one, { n })
      }
    })
    await Promise.all(publishers)

    const stored = await readAll(bus, one)

    assert.deepEqual(
      stored.map(({ data }) => data.n),
      called,
    )
  })

  test('U3: the deadline counts while waiting for room, and the outcome is true', async () => {
    const { engine, gate, appends } = gated()
    await using bus = await busOn(engine, { queueEvents: 1, deadlineMs: 150 })
    using _open = gate
    const flying: Promise<unknown>[] = []
    for (const n of [1, 2]) {
      flying.push(failsWith('DEADLINE_EXCEEDED', bus.publish(one, { n })))
      await until(() => appends() === n)
    }
    const startedMs = performance.now()
    const waiting = [3, 4, 5, 6].map((n) => failsWith('DEADLINE_EXCEEDED', bus.publish(two, { n })))

    const errors = await Promise.all(waiting)

    assert.ok(performance.now() - startedMs < 1000, 'all settle within about one deadline')
    gate.open()
    await Promise.all(flying)
    const stored = (await readAll(bus, two)).map(({ data }) => data.n)
    for (const [i, { outcome }] of errors.entries()) {
      if (outcome === 'not-applied') assert.ok(!stored.includes(i + 3))
    }
  })

  test('U1: an engine that never answers leaves the outcome unknown, within the deadline', async () => {
    const { engine, gate } = gated()
    await using bus = await busOn(engine, { deadlineMs: 60 })
    using _open = gate

    const error = await failsWith('DEADLINE_EXCEEDED', bus.publish(one, { n: 1 }))

    assert.deepEqual([error.outcome, error.retryable], ['unknown', true])
    gate.open()
  })

  test('U2: after an unknown outcome the same id is safe, and one event is there', async () => {
    const inner = memory()
    let broken = true
    const engine = wrapEngine(inner, {
      append: async (group, options) => {
        const result = await inner.append(group, options)
        if (broken) throw storageFailure('unknown')
        return result
      },
    })
    await using bus = await busOn(engine)
    assert.equal((await failure(bus.publish(one, { n: 1 }, { id: 'x' }))).outcome, 'unknown')
    broken = false

    const receipt = await bus.publish(one, { n: 1 }, { id: 'x' })

    assert.deepEqual([receipt.duplicate, receipt.offset], [true, 0])
  })

  test('U1: what an engine fails with in its own words is unknown', async () => {
    const engine = wrapEngine(memory(), {
      append: async () => {
        throw new TypeError('secret detail')
      },
    })
    await using bus = await busOn(engine)

    const error = await failsWith('ENGINE_FAILED', bus.publish(one, { n: 1 }))

    assert.equal(error.outcome, 'unknown')
    assert.ok(!error.message.includes('secret'))
  })
})

describe('aborting a publish', () => {
  test('aborted before: nothing is written, and the outcome says so', async () => {
    await using bus = await busOn(memory())

    const error = await failsWith('ABORTED', bus.publish(one, { n: 1 }, {}, { signal: AbortSignal.abort() }))

    assert.equal(error.outcome, 'not-applied')
    assert.equal((await readAll(bus, one)).length, 0)
  })

  test('aborted in the queue: not applied; under way: unknown', async () => {
    const { engine, gate, appends } = gated()
    await using bus = await busOn(engine)
    using _open = gate
    const abort = new AbortController()
    const { signal } = abort
    const flying = [failsWith('ABORTED', bus.publish(one, { n: 1 }, {}, { signal }))]
    await until(() => appends() === 1)
    flying.push(failsWith('ABORTED', bus.publish(one, { n: 2 }, {}, { signal })))
    await until(() => appends() === 2)
    const queued = failsWith('ABORTED', bus.publish(two, { n: 3 }, {}, { signal }))

    abort.abort(new Error('the caller gave up'))

    assert.deepEqual(
      (await Promise.all(flying)).map(({ outcome }) => outcome),
      ['unknown', 'unknown'],
    )
    const error = await queued
    assert.equal(error.outcome, 'not-applied')
    assert.equal((error.cause as Error).message, 'the caller gave up')
    gate.open()
    assert.equal((await bus.publish(two, { n: 4 })).offset, 0)
  })

  test('aborted while it waits for room: at once, and not applied', async () => {
    const { engine, gate, appends } = gated()
    await using bus = await busOn(engine, { queueEvents: 1 })
    using _open = gate
    const flying: Promise<unknown>[] = []
    for (const n of [1, 2]) {
      flying.push(bus.publish(one, { n }))
      await until(() => appends() === n)
    }
    flying.push(bus.publish(one, { n: 3 }))
    const abort = new AbortController()
    const waiting = failsWith('ABORTED', bus.publish(one, { n: 4 }, {}, { signal: abort.signal }))

    abort.abort()

    assert.equal((await waiting).outcome, 'not-applied')
    gate.open()
    await Promise.all(flying)
    assert.equal((await readAll(bus, one)).length, 3)
  })

  test('one long-lived signal for many publishes gathers no listeners', async () => {
    await using bus = await busOn(memory())
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }

    await Promise.all(Array.from({ length: 20 }, (_, n) => bus.publish(one, { n }, {}, { signal })))

    assert.equal(listeners, 0)
  })
})

describe('P2 after a deadline', () => {
  test('what the engine has not reported yet still holds back what is sent behind it', async () => {
    const inner = memory()
    const gates = [new Gate(), new Gate()] as const
    let appends = 0
    const engine = wrapEngine(inner, {
      append: async (group, options) => {
        const written = inner.append(group, options)
        await gates[appends++ as 0]?.opened
        return await written
      },
    })
    await using bus = await busOn(engine, { deadlineMs: 300 })
    using _first = gates[0]
    using _second = gates[1]
    await failsWith('DEADLINE_EXCEEDED', bus.publish(one, { n: 0 }))
    const conflict = bus.publishMany([one.event({ n: 1 }, { id: 'x' }), one.event({ n: 2 }, { id: 'x' })])
    const refused = failure(conflict)
    await until(() => appends === 2)

    const behind = failsWith('PREDECESSOR_FAILED', bus.publish(one, { n: 3 }))
    await until(() => appends === 3)

    gates[1].open()
    await behind
    assert.equal((await refused).code, 'ID_CONFLICT')
  })
})
