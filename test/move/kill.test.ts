import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { hasCode, type MoveResult } from '../../src/index.ts'
import { until } from '../support/until.ts'
import type { Strike } from './mover.ts'
import { payments } from './topics.ts'
import { consume, newFile, openPayments, Publishers, requireExactlyOnce, untilBooked } from './world.ts'

const holdMs = 500

function startMove(from: string, to: string, strike?: Strike) {
  const args = [join(import.meta.dirname, 'mover.ts'), from, to, String(holdMs)]
  if (strike !== undefined) args.push(JSON.stringify(strike))
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** How it ended: the signal, or what it printed. */
async function endOf(child: ReturnType<typeof startMove>): Promise<string> {
  const [[status, signal], out, err] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ])
  if (signal !== null) return signal
  assert.equal(status, 0, err)
  return out
}

const strikes: readonly Strike[] = [
  { signal: 'SIGKILL', step: 'preparing' },
  { signal: 'SIGKILL', step: 'copying' },
  { signal: 'SIGKILL', step: 'state' },
  { signal: 'SIGKILL', step: 'holding' },
  { signal: 'SIGKILL', step: 'positions' },
  { signal: 'SIGKILL', units: 4 },
  { signal: 'SIGKILL', step: 'verifying' },
  { signal: 'SIGKILL', step: 'switching' },
]

/** Consumers and publishers at the old place all the time, until it says that it is closed. */
async function programs() {
  const [from, to] = [newFile(), newFile()]
  const source = await openPayments(sqlite({ file: from }))
  const target = await openPayments(sqlite({ file: to }))
  const arrived = Promise.withResolvers<typeof target>()
  const publishers = new Publishers(source, arrived.promise).start()
  const second = await openPayments(sqlite({ file: from }))
  const consumers = [consume(source), consume(second)]
  await until(() => publishers.given.length > 100)
  return {
    from,
    to,
    source,
    target,
    publishers,
    consumers,
    arrive: () => arrived.resolve(target),
    async [Symbol.asyncDispose]() {
      arrived.resolve(target)
      await publishers.stop().catch(() => undefined)
      for (const bus of [source, second, target]) await bus.stop()
    },
  }
}

describe('a topic is moved while publishers and consumers run', () => {
  test('killed at each step and run again: each event once, here or there, in order (X2)', async () => {
    await using running = await programs()
    const { from, to, source, target, publishers, consumers, arrive } = running
    for (const strike of strikes) {
      assert.equal(await endOf(startMove(from, to, strike)), 'SIGKILL', JSON.stringify(strike))
      const before = publishers.given.length
      await until(
        () => publishers.given.length > before + 50,
        20_000,
        `${strike.step}: the old place goes on`,
      )
    }
    assert.ok(publishers.refusals.length > 0, 'publishers were refused while the source was held')
    assert.deepEqual(
      [...new Set(publishers.refusals)].filter((code) => !code.endsWith('retryable')),
      [],
    )

    assert.equal(await endOf(startMove(from, to, { signal: 'SIGKILL', step: 'finishing' })), 'SIGKILL')
    const [early] = [consume(target)]
    await until(() => early.tasks().some(({ error }) => hasCode(error, 'TOPIC_MOVED')))
    const again: MoveResult = JSON.parse(await endOf(startMove(from, to)))
    assert.deepEqual(again, { topic: 'payments', tasks: [] })
    assert.deepEqual(
      await endOf(startMove(from, to)),
      JSON.stringify(again),
      'run once more, it does nothing',
    )
    arrive()
    for (const consumer of consumers)
      await until(() => hasCode(consumer.error, 'TOPIC_MOVED'), 20_000, 'old consumers hear of it')
    const moved = publishers.given.length
    await until(() => publishers.given.length > moved + 100)
    await publishers.stop()
    await untilBooked(source, target, publishers.given.length)
    await requireExactlyOnce(source, target, publishers.given)
    const late = await source.publish(payments, { account: 'late', n: 0 }).catch((error: unknown) => error)
    assert.ok(hasCode(late, 'TOPIC_MOVED') && String(late).includes(to), String(late))
  })

  test('paused for longer than it holds the source, just before it switches: it does not (Z1)', async () => {
    await using running = await programs()
    const { from, to, source, target, publishers, arrive } = running
    const child = startMove(from, to, { signal: 'SIGSTOP', step: 'switching' })
    const ended = endOf(child)
    await until(() => publishers.refusals.length > 0, 20_000, 'the source is held')
    const held = publishers.given.length
    await until(() => publishers.given.length > held + 200, 20_000, 'the hold has run out')
    child.kill('SIGCONT')
    const { tasks, events }: MoveResult = JSON.parse(await ended)
    assert.ok(events! > held, 'what came meanwhile was copied before it switched after all')
    assert.equal(tasks.length, 3)
    arrive()
    consume(target)
    const moved = publishers.given.length
    await until(() => publishers.given.length > moved + 100)
    await publishers.stop()
    await untilBooked(source, target, publishers.given.length)
    await requireExactlyOnce(source, target, publishers.given)
  })
})
