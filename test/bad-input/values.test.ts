import assert from 'node:assert/strict'
import { after, afterEach, describe, test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import {
  type Bus,
  type ErrorCode,
  limits,
  openBus,
  type PublishAttributes,
  RawJson,
  topic,
} from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { worlds } from '../support/worlds.ts'

/** faults.md 4.1, row by row: what a person can get wrong has a typed error, and nothing is written. */
const anything = topic<unknown>('anything', { partitions: 2 })
const messageCharsMax = 400

interface Expected {
  readonly code: ErrorCode
  readonly field?: string | undefined
  readonly limit?: number | undefined
}

async function refuses(
  what: string,
  expected: Expected,
  work: Promise<unknown> | (() => unknown),
): Promise<void> {
  try {
    const error = await failsWith(expected.code, work)
    assert.equal(error.outcome, 'not-applied')
    if (expected.field !== undefined) assert.equal(error.field, expected.field)
    if (expected.limit !== undefined) {
      assert.equal(error.limit, expected.limit)
      assert.ok(error.message.includes(String(expected.limit)), error.message)
    }
    assert.ok(error.message.length <= messageCharsMax, `a message of ${error.message.length} characters`)
    assert.ok(!error.message.includes('secret'), 'what a stranger threw is the cause, not the message')
  } catch (error) {
    problems.push(`${what}: ${(error as Error).message}`)
  }
}

const problems: string[] = []
// All rows of a table are tried, and all that are wrong are shown.
afterEach(() => assert.deepEqual(problems.splice(0), []))

async function ends(bus: Bus): Promise<number> {
  const { topics } = await bus.status()
  return topics.flatMap(({ partitions }) => partitions).reduce((sum, { end }) => sum + end, 0)
}

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = [value]
  return value
}

function cycle(): unknown {
  const value: Record<string, unknown> = {}
  value.self = value
  return value
}

class Money {
  readonly amount = 5
}

const bad = (field: string): Expected => ({ code: 'INVALID_DATA', field })
const tooDeep: Expected = { code: 'TOO_DEEP', field: 'data', limit: limits.dataDepthMax }
const tooLarge: Expected = { code: 'TOO_LARGE', field: 'data', limit: limits.eventDataBytesMax }
const large = 'x'.repeat(limits.eventDataBytesMax)

let reads = 0
const data: readonly (readonly [what: string, value: unknown, expected: Expected])[] = [
  ['undefined', undefined, bad('data')],
  ['undefined inside', { a: { b: undefined } }, bad('data.a.b')],
  ['a function', { a: () => 1 }, bad('data.a')],
  ['a symbol', [Symbol('s')], bad('data[0]')],
  ['a BigInt', { n: 1n }, bad('data.n')],
  ['NaN', { n: [1, Number.NaN] }, bad('data.n[1]')],
  ['Infinity', Number.POSITIVE_INFINITY, bad('data')],
  ['-0', { n: -0 }, bad('data.n')],
  ['a Map', { m: new Map([[1, 2]]) }, bad('data.m')],
  ['a Set', new Set([1]), bad('data')],
  ['a Date', { at: new Date(0) }, bad('data.at')],
  ['bytes inside', { b: Buffer.from('x') }, bad('data.b')],
  ['a class', { price: new Money() }, bad('data.price')],
  ['toJSON', { a: { toJSON: () => 1 } }, bad('data.a')],
  ['a hole in an array', Object.assign(new Array(3), { 0: 1, 2: 2 }), bad('data')],
  ['half a surrogate pair', { s: 'a\ud800' }, bad('data.s')],
  ['half a surrogate pair in a name', { 'a\ud800': 1 }, { code: 'INVALID_DATA' }],
  [
    'a getter that throws',
    {
      get a() {
        throw new Error('secret')
      },
    },
    bad('data'),
  ],
  [
    'a getter that throws behind a bad member',
    {
      n: Number.NaN,
      get z() {
        throw new Error('secret')
      },
    },
    { code: 'INVALID_DATA' },
  ],
  [
    'a getter that changes its mind',
    {
      get a() {
        return reads++ % 2 === 0 ? 1 : 1n
      },
    },
    { code: 'INVALID_DATA' },
  ],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('secret')
        },
      },
    ),
    bad('data'),
  ],
  ['a cycle', cycle(), tooDeep],
  ['65 levels', nested(65), tooDeep],
  ['4,500 levels', nested(4_500), tooDeep],
  ['5,000,000 levels', nested(5_000_000), tooDeep],
  ['raw text of 65 levels', new RawJson('['.repeat(65) + ']'.repeat(65)), tooDeep],
  [
    'raw text of 5,000,000 levels',
    new RawJson('['.repeat(5_000_000) + ']'.repeat(5_000_000)),
    { code: 'TOO_LARGE' },
  ],
  ['raw text that is no JSON', new RawJson('{"a":'), bad('data')],
  ['raw text of nothing', new RawJson(''), bad('data')],
  ['raw text that is no text', new RawJson(5 as never), bad('data')],
  ['raw text with half a pair', new RawJson('"\ud800"'), bad('data')],
  ['text over the limit', large, tooLarge],
  ['text whose escapes pass the limit', '\u0001'.repeat(limits.eventDataBytesMax / 5), tooLarge],
  ['text too long to be escaped at all', '\u0001'.repeat(2 ** 27), tooLarge],
  ['bytes over the limit', new Uint8Array(limits.eventDataBytesMax + 1), { ...tooLarge }],
  ['1 GiB of bytes', new Uint8Array(2 ** 30), tooLarge],
  ['raw text over the limit', new RawJson(`"${large}"`), tooLarge],
]

const nul = 'a\u0000b'
const half = 'a\ud800'
const over = (bytes: number): string => `${'é'.repeat(bytes / 2)}x`
const { idBytesMax, keyBytesMax, attributeBytesMax } = limits
const attributes: readonly (readonly [what: string, given: Record<string, unknown>, expected: Expected])[] = [
  ...['', nul, half, 5, null, {}].map(
    (id) => [`id ${typeof id}`, { id }, { code: 'INVALID_ID', field: 'id' }] as const,
  ),
  ['a long id', { id: over(idBytesMax) }, { code: 'INVALID_ID', field: 'id', limit: idBytesMax }],
  ...[nul, half, 5, {}].map(
    (key) => [`key ${typeof key}`, { key }, { code: 'INVALID_KEY', field: 'key' }] as const,
  ),
  ['a long key', { key: over(keyBytesMax) }, { code: 'INVALID_KEY', field: 'key', limit: keyBytesMax }],
  ...['type', 'source', 'subject', 'traceparent', 'correlationid', 'dataschema', 'datacontenttype'].flatMap(
    (field) =>
      ['', nul, half, over(attributeBytesMax)].map(
        (value) => [`${field}`, { [field]: value }, { code: 'INVALID_ATTRIBUTE', field }] as const,
      ),
  ),
  ...['type', 'source', 'subject', 'causationid'].flatMap((field) =>
    [5, {}, null, true].map(
      (value) =>
        [`${field} of ${typeof value}`, { [field]: value }, { code: 'INVALID_ATTRIBUTE', field }] as const,
    ),
  ),
  ...[-1, 1.5, 2 ** 53, '5', Number.NaN].map(
    (producersequence) =>
      [
        `sequence ${producersequence}`,
        { producersequence },
        { code: 'INVALID_ATTRIBUTE', field: 'producersequence' },
      ] as const,
  ),
  ...[
    Number.NaN,
    -1,
    8.64e15 + 1,
    Number.POSITIVE_INFINITY,
    '1',
    null,
    new Date(Number.NaN),
    1_700_000_000,
  ].map((time) => [`time ${String(time)}`, { time }, { code: 'INVALID_TIME', field: 'time' }] as const),
  ['a wrong name', { subjct: 'x' }, { code: 'UNKNOWN_OPTION', field: 'subjct' }],
  ['__proto__', JSON.parse('{"__proto__":{"admin":true}}'), { code: 'UNKNOWN_OPTION', field: '__proto__' }],
]

for (const { name, create } of worlds) {
  describe(`bad events on ${name}`, () => {
    test('data that would not come back as it is', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      for (const [what, value, expected] of data) await refuses(what, expected, bus.publish(anything, value))
      assert.equal(await ends(bus), 0)
    })

    test('ids, keys and attributes', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      for (const [what, given, expected] of attributes) {
        await refuses(what, expected, bus.publish(anything, 1, given as PublishAttributes))
      }
      for (const given of [null, 5, 'x', []]) {
        await refuses(
          `attributes ${given}`,
          { code: 'INVALID_OPTION' },
          bus.publish(anything, 1, given as never),
        )
      }
      assert.equal(await ends(bus), 0)
    })

    test('one bad element of a batch: nothing of it, and its index', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      const batch = Array.from({ length: 100 }, (_, i) => anything.event(i === 63 ? Number.NaN : i))
      assert.equal((await failsWith('INVALID_DATA', bus.publishMany(batch))).index, 63)
      for (const wrong of [undefined, null, 5, {}, { topic: 'anything', data: 1 }]) {
        const call = bus.publishMany([anything.event(1), wrong as never])
        await refuses(`element ${String(wrong)}`, { code: 'INVALID_OPTION', field: 'events[1].topic' }, call)
      }
      for (const wrong of [undefined, null, 5, 'x', {}]) {
        await refuses(
          `events ${wrong}`,
          { code: 'INVALID_OPTION', field: 'events' },
          bus.publishMany(wrong as never),
        )
      }
      const many = Array.from({ length: limits.publishManyEventsMax + 1 }, (_, i) => anything.event(i))
      const tooMany: Expected = { code: 'TOO_LARGE', field: 'events', limit: limits.publishManyEventsMax }
      await refuses('a batch over the limit', tooMany, bus.publishMany(many))
      assert.equal(await ends(bus), 0)
      assert.equal((await bus.publishMany(many.slice(1))).length, limits.publishManyEventsMax)
    })

    test('exactly at a limit is fine, and comes back as it was', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      const values: unknown[] = [
        '',
        null,
        0,
        [],
        {},
        new Uint8Array(0),
        'x'.repeat(limits.eventDataBytesMax - 2),
        new Uint8Array(limits.eventDataBytesMax),
        nested(limits.dataDepthMax),
        Number.MAX_SAFE_INTEGER,
        JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}'),
        Object.assign(Object.create(null), { plain: true }),
      ]
      for (const value of values) {
        const { partition, offset } = await bus.publish(anything, value)
        const [event] = await readAll(bus, anything, { partition, from: { offset } })
        if (value instanceof Uint8Array) assert.ok(Buffer.from(value).equals(event?.data as Buffer))
        else assert.equal(JSON.stringify(event?.data), JSON.stringify(value))
      }
      const id = 'é'.repeat(idBytesMax / 2)
      const key = 'é'.repeat(keyBytesMax / 2)
      assert.equal(
        (await bus.publish(anything, 1, { id, key, subject: 's'.repeat(attributeBytesMax) })).id,
        id,
      )
      await bus.publish(anything, 1, { key: '' })
      await bus.publish(anything, 1, { key: null, time: 0, id: 'CON', type: '../x' })
    })

    test('equality of ids is by bytes: no normalisation', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      const twins = await Promise.all(['é', 'e\u0301'].map((id) => bus.publish(anything, 1, { id })))
      assert.deepEqual(
        twins.map(({ duplicate }) => duplicate),
        [false, false],
      )
    })

    test('places to read from', async () => {
      await using bus = await openBus({ engine: create().engine(), topics: [anything] })
      const offset = { code: 'INVALID_OFFSET' } as const
      for (const value of [-1, 1.5, 2 ** 53, '5', Number.NaN, null, undefined]) {
        await refuses(
          `offset ${value}`,
          offset,
          readAll(bus, anything, { partition: 0, from: { offset: value as never } }),
        )
        if (value === undefined) continue
        await refuses(
          `until ${value}`,
          offset,
          readAll(bus, anything, { partition: 0, until: value as never }),
        )
      }
      await refuses(
        'no partition',
        { ...offset, field: 'partition' },
        readAll(bus, anything, { from: { offset: 0 } }),
      )
      for (const time of [Number.NaN, -1, 8.64e15 + 1, 1_700_000_000, 'x']) {
        await refuses(
          `time ${time}`,
          { code: 'INVALID_TIME' },
          readAll(bus, anything, { from: { time: time as never } }),
        )
      }
      for (const partition of [-1, 2, 0.5, '0', null]) {
        const field = 'partition'
        await refuses(
          'partition',
          { code: 'INVALID_OPTION', field },
          readAll(bus, anything, { partition: partition as never }),
        )
      }
      for (const from of ['newest', 5, null, {}, []]) {
        await refuses(
          'from',
          { code: 'INVALID_OPTION', field: 'from' },
          readAll(bus, anything, { from: from as never }),
        )
      }
      await refuses(
        'a typo',
        { code: 'UNKNOWN_OPTION', field: 'folow' },
        readAll(bus, anything, { folow: true } as never),
      )
    })
  })
}

describe('bad options', () => {
  test('topic names and options', async () => {
    const names = [
      '',
      '.',
      '..',
      '../x',
      'a/b',
      'a\u0000',
      'x'.repeat(201),
      'Orders',
      'CON',
      '-a',
      'a..b',
      'é',
      'semel.x',
      5,
      null,
    ]
    for (const wrong of names)
      await refuses(`topic ${wrong}`, { code: 'INVALID_TOPIC', field: 'topic' }, () => topic(wrong as never))
    await refuses('a long name', { code: 'INVALID_TOPIC', limit: limits.topicNameCharsMax }, () =>
      topic('x'.repeat(300)),
    )
    for (const partitions of [0, -1, 1.5, Number.NaN, '4', 1025, null]) {
      const expected = { code: 'INVALID_OPTION', field: 'partitions' } as const
      await refuses(`partitions ${partitions}`, expected, () =>
        topic('a', { partitions: partitions as never }),
      )
    }
    for (const windowMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 366 * 86_400_000]) {
      const expected = { code: 'INVALID_OPTION', field: 'dedup.windowMs' } as const
      await refuses(`window ${windowMs}`, expected, () => topic('a', { dedup: { windowMs } }))
    }
    await refuses('a typo', { code: 'UNKNOWN_OPTION', field: 'partition' }, () =>
      topic('a', { partition: 3 } as never),
    )
    await refuses('a schema', { code: 'INVALID_OPTION', field: 'schema' }, () =>
      topic('a', { schema: {} as never }),
    )
    await refuses('a null schema', { code: 'INVALID_OPTION', field: 'schema' }, () =>
      topic('a', { schema: null as never }),
    )
    await refuses('a key', { code: 'INVALID_OPTION', field: 'key' }, () => topic('a', { key: 'id' as never }))
    assert.equal(topic('x'.repeat(limits.topicNameCharsMax)).partitions, 4)
    assert.equal(
      (await failsWith('UNKNOWN_OPTION', () => topic('a', { partitons: 3 } as never))).hint,
      'did you mean "partitions"?',
    )
  })

  test('openBus and engines', async () => {
    const topics = [anything]
    const wrong: readonly (readonly [Record<string, unknown> | undefined, Expected])[] = [
      [undefined, { code: 'INVALID_OPTION' }],
      [{ topics }, { code: 'INVALID_OPTION', field: 'engine' }],
      [
        { engine: {}, topics },
        { code: 'INVALID_OPTION', field: 'engine' },
      ],
      [{ engine: memory() }, { code: 'INVALID_OPTION', field: 'topics' }],
      [
        { engine: memory(), topics: ['anything'] },
        { code: 'INVALID_OPTION', field: 'topics' },
      ],
      [
        { engine: memory(), topics: [anything, anything] },
        { code: 'INVALID_TOPIC', field: 'topics' },
      ],
      [
        { engine: memory(), topics, durabilty: 'os' },
        { code: 'UNKNOWN_OPTION', field: 'durabilty' },
      ],
      [
        { engine: memory(), topics, durability: 'fsync' },
        { code: 'INVALID_OPTION', field: 'durability' },
      ],
      [
        { engine: memory(), topics, member: '' },
        { code: 'INVALID_OPTION', field: 'member' },
      ],
      [
        { engine: memory(), topics, publish: { queueEvents: 0 } },
        { code: 'INVALID_OPTION', field: 'publish.queueEvents' },
      ],
      [
        { engine: memory(), topics, publish: { deadlineMs: Number.POSITIVE_INFINITY } },
        { code: 'INVALID_OPTION', field: 'publish.deadlineMs' },
      ],
      [
        { engine: memory(), topics, publish: { whenFull: 'drop' } },
        { code: 'INVALID_OPTION', field: 'publish.whenFull' },
      ],
    ]
    for (const [options, expected] of wrong)
      await refuses(JSON.stringify(expected), expected, openBus(options as never))
    for (const file of ['', ':memory:', 'a\u0000b', 5, undefined]) {
      await refuses(`file ${file}`, { code: 'INVALID_OPTION', field: 'file' }, () =>
        sqlite({ file: file as never }),
      )
    }
    await refuses('a typo', { code: 'UNKNOWN_OPTION' }, () => sqlite({ file: 'x', lockWait: 5 } as never))
  })

  test('a group is consumed once in a process, until its member has stopped', async () => {
    await using bus = await openBus({ engine: memory(), topics: [anything] })
    const consume = () => bus.consume(anything, { group: 'g' }, () => undefined)
    const member = consume()
    await refuses('a second member', { code: 'INVALID_GROUP', field: 'group' }, consume)
    await member.stop()
    await consume().ready()
  })

  test('consume', async () => {
    await using bus = await openBus({ engine: memory(), topics: [anything] })
    const handler = () => undefined
    const field = (name: string): Expected => ({ code: 'INVALID_OPTION', field: name })
    const wrong: readonly (readonly [Record<string, unknown>, Expected])[] = [
      [{}, { code: 'INVALID_GROUP', field: 'group' }],
      ...['', 'A', 'a/b', '..', 'x'.repeat(201), 'semel.g', 5].map(
        (group) => [{ group }, { code: 'INVALID_GROUP', field: 'group' }] as const,
      ),
      [
        { group: 'g', exactlyonce: true },
        { code: 'UNKNOWN_OPTION', field: 'exactlyonce' },
      ],
      [{ group: 'g', guarantee: 'exactlyonce' }, field('guarantee')],
      ...[0, -1, 1.5, Number.NaN, 10_001, '5'].map(
        (concurrency) => [{ group: 'g', concurrency }, field('concurrency')] as const,
      ),
      ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 40].flatMap((ms) => [
        [{ group: 'g', handlerTimeoutMs: ms }, field('handlerTimeoutMs')] as const,
        [{ group: 'g', leaseMs: ms }, field('leaseMs')] as const,
      ]),
      [{ group: 'g', retry: { attempts: 0 } }, field('retry.attempts')],
      [
        { group: 'g', retry: { attempt: 3 } },
        { code: 'UNKNOWN_OPTION', field: 'attempt' },
      ],
      [{ group: 'g', retry: { onExhausted: 'drop' } }, field('retry.onExhausted')],
      [{ group: 'g', retry: 5 }, field('retry')],
      [{ group: 'g', startAt: 'newest' }, field('startAt')],
      [
        { group: 'g', startAt: { time: -1 } },
        { code: 'INVALID_TIME', field: 'startAt.time' },
      ],
      [
        { group: 'g', startAt: { time: 1_700_000_000 } },
        { code: 'INVALID_TIME', field: 'startAt.time' },
      ],
      [{ group: 'g', strict: 'yes' }, field('strict')],
      [{ group: 'g', sink: {} }, field('sink')],
    ]
    for (const [options, expected] of wrong) {
      await refuses(JSON.stringify(options), expected, () => bus.consume(anything, options as never, handler))
    }
    await refuses('no options', { code: 'INVALID_GROUP' }, () =>
      bus.consume(anything, undefined as never, handler),
    )
    await refuses('no handler', field('handler'), () => bus.consume(anything, { group: 'g' }, 5 as never))
    for (const topics of [[], 'anything', undefined, [undefined], ['anything'], [anything, null]]) {
      await refuses('topics', field('topics'), () => bus.consume(topics as never, { group: 'g' }, handler))
    }
    await refuses('an undeclared topic', { code: 'UNKNOWN_TOPIC' }, () =>
      bus.consume(topic('other'), { group: 'g' }, handler),
    )
    await refuses('read nothing', { code: 'INVALID_OPTION', field: 'topic' }, () =>
      bus.read(undefined as never),
    )
    await refuses('read another', { code: 'UNKNOWN_TOPIC' }, () => bus.read(topic('other')))
    assert.deepEqual((await bus.status()).groups, [])
  })

  test('publish options, stop options, dead letters', async () => {
    await using bus = await openBus({ engine: memory(), topics: [anything] })
    const publish = (options: unknown) => bus.publish(anything, 1, {}, options as never)
    await refuses(
      'durability',
      { code: 'INVALID_OPTION', field: 'durability' },
      publish({ durability: 'disk' }),
    )
    await refuses('a typo', { code: 'UNKNOWN_OPTION', field: 'durabilty' }, publish({ durabilty: 'os' }))
    await refuses('no signal', { code: 'INVALID_OPTION', field: 'signal' }, publish({ signal: 'abort' }))
    await refuses('no options', { code: 'INVALID_OPTION' }, publish(5))
    for (const group of ['', 'A', '../x', 5]) {
      await refuses('group', { code: 'INVALID_GROUP', field: 'group' }, () => bus.deadLetters(group as never))
    }
    const letters = bus.deadLetters('g')
    for (const limit of [0, 1001, 1.5, '5']) {
      await refuses(
        'limit',
        { code: 'INVALID_OPTION', field: 'limit' },
        letters.list({ limit: limit as never }),
      )
    }
    await refuses('topic', { code: 'UNKNOWN_TOPIC', field: 'topic' }, letters.list({ topic: 'other' }))
    await refuses('after', { code: 'INVALID_OPTION', field: 'after' }, letters.list({ after: 'x' as never }))
    await refuses(
      'after',
      { code: 'INVALID_OFFSET' },
      letters.list({ after: { topic: 'anything', partition: 0, offset: -1 } }),
    )
    assert.equal(await ends(bus), 0)
  })
})

describe('what handlers pass in', () => {
  test('bad state and emits fail the attempt with their code, and nothing of it is written', async () => {
    const keyed = topic<number>('keyed', { partitions: 1, key: () => 'k' })
    const cases: readonly (readonly [ErrorCode, Parameters<typeof bus.consume<number>>[2]])[] = [
      ['INVALID_DATA', async (_event, tx) => await tx.state('s').set(undefined)],
      ['INVALID_DATA', async (_event, tx) => await tx.state('s').set({ n: Number.NaN })],
      ['TOO_LARGE', async (_event, tx) => await tx.state('s').set('x'.repeat(limits.stateValueBytesMax))],
      ['TOO_DEEP', async (_event, tx) => await tx.state('s').set(nested(65))],
      ['INVALID_OPTION', (_event, tx) => tx.state('')],
      ['INVALID_OPTION', (_event, tx) => tx.state('semel.dead')],
      ['INVALID_OPTION', (_event, tx) => tx.state('x'.repeat(101))],
      ['INVALID_DATA', (_event, tx) => tx.emit(anything, () => 1)],
      ['INVALID_ID', (_event, tx) => tx.emit(anything, 1, { id: '' })],
      ['UNKNOWN_OPTION', (_event, tx) => tx.emit(anything, 1, { keys: 'a' } as never)],
      ['INVALID_OPTION', (_event, tx) => tx.emit(undefined as never, 1)],
      [
        'INVALID_KEY',
        (_event, tx) => tx.emit(topic<number>('anything', { partitions: 2, key: () => 5 as never }), 1),
      ],
    ]
    await using bus = await openBus({ engine: memory(), topics: [keyed, anything] })
    const consumer = bus.consume(
      keyed,
      { group: 'g', concurrency: 1, retry: { attempts: 1 } },
      async (event, tx) => {
        tx.emit(anything, 'must not be seen')
        await cases[event.data]?.[1](event, tx)
      },
    )
    for (const n of cases.keys()) await bus.publish(keyed, n)
    const letters = bus.deadLetters('g')
    await until(async () => (await letters.list()).length === cases.length)

    assert.deepEqual(
      (await letters.list()).map(({ error }) => error.code),
      cases.map(([code]) => code),
    )
    assert.equal((await readAll(bus, anything)).length, 0)
    await consumer.stop()
  })
})

after(() => assert.equal(Reflect.get({}, 'admin'), undefined))
