import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { memory } from '../../src/engines/memory/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type Bus, copyTopic, openBus, RawJson, topic } from '../../src/index.ts'
import { runCli, startCli } from '../cli/run-cli.ts'
import { isWrite } from '../postgres/engines.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { type PostgresProxy, startPostgresProxy } from '../rig/proxy/postgres-proxy.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { newFile } from './inbox.ts'

const server = await sharedPostgres(18)
const items = topic<unknown>('items', { partitions: 3 })

async function open(engine: Parameters<typeof openBus>[0]['engine'], declared = items): Promise<Bus> {
  return await openBus({ engine, topics: [declared] })
}

/** Of every kind there is. */
async function publishItems(bus: Bus, count: number, prefix = 'item'): Promise<void> {
  const datas: readonly unknown[] = [
    { text: 'ünïcode \u2028 "quoted"', list: [1, null, true] },
    new RawJson('{ "big": 123456789012345678901234567890 }'),
    new Uint8Array([0, 1, 254, 255]),
    null,
    'text',
    1.5e-7,
  ]
  for (let from = 0; from < count; from += 4000) {
    const events = Array.from({ length: Math.min(4000, count - from) }, (_, i) => {
      const n = from + i
      const data = datas[n % datas.length]
      const key = n % 5 === 0 ? null : n % 5 === 1 ? '' : `key-${n % 50}`
      const rare = n % 7 === 0 ? { subject: `s${n}`, correlationid: 'c', producersequence: n } : {}
      return items.event(data, { id: `${prefix}-${n}`, key, time: 1_700_000_000_000 + n, ...rare })
    })
    await bus.publishMany(events)
  }
}

/** All that a copy keeps, partition by partition. */
async function contentOf(bus: Bus, withOffsets = true) {
  const partitions: unknown[][] = [[], [], []]
  for (const event of await readAll(bus, items)) {
    const { partition, offset, appendTime: _, ...content } = event
    partitions[partition]!.push({ ...content, ...(withOffsets ? { offset } : undefined) })
  }
  return partitions
}

/** The first difference alone: the whole would take minutes to print. */
function requireSame(actual: unknown[][], truth: unknown[][]): void {
  for (const [partition, events] of truth.entries()) {
    assert.equal(actual[partition]!.length, events.length, `events in partition ${partition}`)
    for (const [i, event] of events.entries()) assert.deepEqual(actual[partition]![i], event)
  }
}

interface CopyLine {
  readonly total: number
  readonly verified: readonly {
    readonly events: number
    readonly others: number
    readonly sameOffsets: boolean
  }[]
}

/** Kills the command in the middle, while a statement of its is held, and runs it again to its end. */
async function copyWithKill(
  from: string,
  to: string,
  proxy: PostgresProxy,
  statement: (sql: string) => boolean,
): Promise<CopyLine> {
  const trap = proxy.trap({ kind: 'hold-request', statement, nth: 2 })
  const through = (place: string): string => (place.startsWith('postgres:') ? proxy.url : place)
  const child = startCli(['copy', through(from), through(to), '--topic', 'items'])
  await trap.sprung()
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  assert.equal((await ended)[1], 'SIGKILL')
  trap.cut()
  const { status, out, err } = await runCli(['copy', from, to, '--topic', 'items', '--json'])
  assert.equal(status, 0, err)
  return JSON.parse(out.trimEnd().split('\n').at(-1)!)
}

test('SQLite to PostgreSQL and back, each killed in the middle: all is there, once, at its offset', async () => {
  await using database = await freshDatabase(server)
  await using proxy = await startPostgresProxy(database)
  const [first, second] = [newFile(), newFile()]
  await using source = await open(sqlite({ file: first }))
  await publishItems(source, 25_000)
  const truth = await contentOf(source)

  const there = await copyWithKill(first, database.url, proxy, isWrite)
  await using middle = await open(postgres({ url: database.url }))
  requireSame(await contentOf(middle), truth)
  const back = await copyWithKill(database.url, second, proxy, (sql) => /\.read\(/.test(sql))
  await using last = await open(sqlite({ file: second }))
  requireSame(await contentOf(last), truth)

  for (const { total, verified } of [there, back]) {
    assert.equal(total, 25_000)
    assert.deepEqual(
      verified.map(({ events, others, sameOffsets }) => [events, others, sameOffsets]),
      truth.map((events) => [events.length, 0, true]),
    )
  }
  const repeated = await middle.publish(items, null, { id: 'item-3', key: 'key-3' })
  assert.ok(repeated.duplicate, 'a publish that is tried again on the copy is recognised (N1)')
})

describe('copyTopic', () => {
  test('replies to its commits are lost: each event once, also without deduplication (X2)', async () => {
    await using database = await freshDatabase(server)
    await using proxy = await startPostgresProxy(database)
    const plain = topic<unknown>('items', { partitions: 3, dedup: false })
    await using from = await open(memory(), plain)
    await using to = await open(postgres({ url: proxy.url }), plain)
    await publishItems(from, 15_000)
    const traps = (['drop-reply', 'cut-request', 'drop-reply'] as const).map((kind) =>
      proxy.trap({ kind, statement: isWrite }),
    )
    await copyTopic({ from, to, topic: plain })
    for (const trap of traps) await trap.sprung()
    requireSame(await contentOf(to), await contentOf(from))
  })

  test('is stopped by its signal, goes on in the next call, and takes what has come meanwhile', async () => {
    await using database = await freshDatabase(server)
    await using proxy = await startPostgresProxy(database)
    await using from = await open(sqlite({ file: newFile() }))
    await using to = await open(postgres({ url: proxy.url }))
    await publishItems(from, 20_000)
    const stop = new AbortController()
    const reason = new Error('enough')
    const second = proxy.trap({ kind: 'hold-request', statement: isWrite, nth: 2 })
    const stopped = assert.rejects(copyTopic({ from, to, topic: items, signal: stop.signal }), reason)
    await second.sprung()
    stop.abort(reason)
    second.cut()
    await stopped
    const part = (await readAll(to, items)).length
    assert.ok(part > 0 && part < 20_000, `${part} events`)

    const seen: number[] = []
    await copyTopic({ from, to, topic: items, onProgress: ({ copied }) => void seen.push(copied) })
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
    assert.equal(seen.at(-1), 20_000)
    await publishItems(from, 500, 'later')
    await copyTopic({ from, to, topic: items })
    requireSame(await contentOf(to), await contentOf(from))
  })

  test('several processes share one copy', async () => {
    const file = newFile()
    await using database = await freshDatabase(server)
    await using from = await open(sqlite({ file }))
    await publishItems(from, 15_000)
    await using one = await open(postgres({ url: database.url }))
    await using two = await open(postgres({ url: database.url }))
    const results = await Promise.all([one, two].map((to) => copyTopic({ from, to, topic: items })))
    requireSame(await contentOf(one), await contentOf(from))
    for (const { verified } of results) assert.ok(verified!.every(({ sameOffsets }) => sameOffsets))
  })

  test('into a topic that holds other events: same order and ids, other offsets', async () => {
    await using from = await open(memory())
    await using to = await open(memory())
    await publishItems(from, 1000)
    await publishItems(to, 60, 'other')
    const { verified } = await copyTopic({ from, to, topic: items })
    assert.deepEqual(
      verified!.map(({ others, sameOffsets }) => [others > 0, sameOffsets]),
      [
        [true, false],
        [true, false],
        [true, false],
      ],
    )
    const contents = (await contentOf(to, false)).map((events, p) => events.slice(-verified![p]!.events))
    assert.deepEqual(contents, await contentOf(from, false))
  })

  test('what differs in the target is found', async () => {
    await using from = await open(memory())
    await publishItems(from, 300)
    const first = (await readAll(from, items))[7]!
    const { id, key, time } = first
    await using conflicting = await open(memory())
    await conflicting.publish(items, 'something else', { id, key })
    await failsWith('ID_CONFLICT', copyTopic({ from, to: conflicting, topic: items }))

    await using elsewhere = await open(memory())
    await elsewhere.publish(items, first.data, { ...first.attributes, id, key, time })
    const { message } = await failsWith('COPY_DIFFERS', copyTopic({ from, to: elsewhere, topic: items }))
    assert.match(message, new RegExp(`event "${id}", offset 7 of items/${first.partition},`))
    await copyTopic({ from, to: elsewhere, topic: items, verify: false })
  })

  test('another source, or one that went back, is LOG_REGRESSED (D6)', async () => {
    await using to = await open(memory())
    for (const expected of ['ok', 'LOG_REGRESSED'] as const) {
      await using from = await open(sqlite({ file: newFile() }))
      await publishItems(from, 10)
      const copying = copyTopic({ from, to, topic: items })
      if (expected === 'ok') await copying
      else await failsWith(expected, copying)
    }
    assert.equal((await readAll(to, items)).length, 10)
  })

  test('what cannot be is said at once', async () => {
    await using from = await open(memory())
    await using to = await open(memory())
    const call = (more: object) => copyTopic({ from, to, topic: items, ...more } as never)
    await failsWith('INVALID_OPTION', call({ to: from }))
    await failsWith('INVALID_OPTION', call({ from: 'log.db' }))
    await failsWith('INVALID_OPTION', call({ topic: 'items' }))
    await failsWith('UNKNOWN_OPTION', call({ onprogress: () => undefined }))
    await failsWith('UNKNOWN_TOPIC', call({ topic: topic('nowhere') }))
    await failsWith('TOPIC_CONTRADICTION', call({ topic: topic('items', { partitions: 7 }) }))
    await failsWith('BUS_CLOSED', async () => {
      const closed = await open(memory())
      await closed.stop()
      return await call({ to: closed })
    })
  })
})

describe('semel copy', () => {
  test('says what it did, for people and for programs', async () => {
    const [file, other] = [newFile(), newFile()]
    await using from = await open(sqlite({ file }))
    await publishItems(from, 12)
    const { status, out } = await runCli(['copy', file, other, '--topic', 'items'])
    assert.deepEqual(
      [status, out],
      [0, 'items: 12 events are in the target; ids, contents and order compared, same offsets\n'],
    )
    const again = await runCli(['copy', file, other, '--topic', 'items', '--json', '--no-verify'])
    assert.deepEqual(JSON.parse(again.out.split('\n')[0]!), { topic: 'items', total: 12 })
  })

  test('a wrong command line is status 2, a missing file or topic status 1, and no file is made', async () => {
    const [file, other] = [newFile(), newFile()]
    await using from = await open(sqlite({ file }))
    await publishItems(from, 1)
    for (const args of [[], [file], [file, other]]) assert.equal((await runCli(['copy', ...args])).status, 2)
    const missing = await runCli(['copy', other, file, '--topic', 'items'])
    assert.deepEqual([missing.status, /NOT_FOUND/.test(missing.err)], [1, true])
    const unknown = await runCli(['copy', file, other, '--topic', 'itens'])
    assert.deepEqual([unknown.status, /did you mean items/.test(unknown.err)], [1, true])
    await assert.rejects(
      open(sqlite({ file: other })).then(async (bus) => {
        await using opened = bus
        return await readAll(opened, topic('nowhere'))
      }),
    )
  })
})
