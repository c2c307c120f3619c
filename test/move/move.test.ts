import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryLog, memory } from '../../src/engines/memory/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { moveTopic } from '../../src/index.ts'
import { runCli } from '../cli/run-cli.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { requireMoved } from './moved-groups.ts'
import { payments } from './topics.ts'
import { consume, newFile, openPayments } from './world.ts'

const server = await sharedPostgres(18)

describe('a topic moves with its groups while programs run (X2)', () => {
  test('from PostgreSQL to SQLite', async () => {
    await using database = await freshDatabase(server)
    const file = newFile()
    const { tasks } = await requireMoved(
      () => postgres({ url: database.url }),
      () => sqlite({ file }),
    )
    assert.ok(tasks.length > 0 && tasks.every(({ from, to }) => from === to))
  })

  test('from memory to PostgreSQL', async () => {
    await using database = await freshDatabase(server)
    const log = new MemoryLog()
    await requireMoved(
      () => memory({ log }),
      () => postgres({ url: database.url }),
    )
  })
})

test('the command: says what it does, and once more that it is done; the status shows the place', async () => {
  await using database = await freshDatabase(server)
  const file = newFile()
  await using source = await openPayments(sqlite({ file }))
  await source.publish(payments, { account: 'ada', n: 0 })
  const old = consume(source)
  await until(async () =>
    (await source.status()).groups.some(({ tasks }) => tasks.some((task) => task.position)),
  )
  await old.stop()
  const args = ['move', file, database.url, '--topic', 'payments']
  const { status, out, err } = await runCli([...args, '--json'])
  assert.equal(status, 0, err)
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    [...new Set(lines.slice(0, -1).map(({ step }) => step))].join(' '),
    'preparing copying comparing state holding positions verifying switching finishing',
  )
  assert.equal(lines.at(-1).events, 1)
  const again = await runCli(args)
  assert.match(again.out, /had been switched before/)
  const shown = await runCli(['status', '--file', file])
  assert.match(shown.out, /MOVED TO[\s\S]*postgres:/)
  assert.doesNotMatch(
    shown.out + out + again.out,
    new RegExp(`:${new URL(database.url).password || 'no-password'}@`),
  )
  const wrong = await runCli(['move', file, 'kafka://', '--topic', 'payments'])
  assert.equal(wrong.status, 2, wrong.err)
})

describe('refused, and the old place goes on', () => {
  async function places() {
    const [from, to] = [newFile(), newFile()]
    const source = await openPayments(sqlite({ file: from }))
    const target = await openPayments(sqlite({ file: to }))
    await source.publish(payments, { account: 'ada', n: 0 }, { id: 'first' })
    let isMoved = false
    const move = async (more: object = {}) => {
      await moveTopic({ from: source, to: target, topic: payments, place: to, ...more } as never)
      isMoved = true
    }
    return {
      source,
      target,
      move,
      async [Symbol.asyncDispose]() {
        if (!isMoved) await source.publish(payments, { account: 'ada', n: 1 })
        await source.stop()
        await target.stop()
      },
    }
  }

  test('the target has events of others', async () => {
    await using both = await places()
    await both.target.publish(payments, { account: 'eve', n: 0 })
    await failsWith('COPY_DIFFERS', both.move())
  })

  test('a group has worked there', async () => {
    await using both = await places()
    await both.target.publish(payments, { account: 'ada', n: 0 }, { id: 'first' })
    const there = consume(both.target)
    await until(async () =>
      (await both.target.status()).groups.some(({ tasks }) => tasks.some(({ position }) => position)),
    )
    await there.stop()
    await failsWith('POSITION_MISMATCH', both.move())
  })

  test('a group runs there; it is moved when that has stopped', async () => {
    await using both = await places()
    const there = consume(both.target)
    await until(() => there.tasks().length === 3)
    await failsWith('BUSY', both.move())
    await there.stop()
    await both.move()
    await failsWith('TOPIC_MOVED', both.source.publish(payments, { account: 'ada', n: 1 }))
  })

  test('options and logs that cannot be', async () => {
    await using both = await places()
    await failsWith('INVALID_OPTION', both.move({ to: both.source }))
    await failsWith('INVALID_OPTION', both.move({ place: '' }))
    await failsWith('INVALID_OPTION', both.move({ holdMs: 1 }))
    await failsWith('UNKNOWN_OPTION', both.move({ verify: true }))
  })
})
