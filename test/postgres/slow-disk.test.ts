import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus, topic } from '../../src/index.ts'
import { requireStrace, straceSkip } from '../crash/strace.ts'
import { type PostgresServer, startPostgres } from '../rig/postgres/server.ts'
import { until } from '../support/until.ts'

const flushMs = 60
const alone = 5
const together = 200
const keys = 20

const orders = topic<number>('orders', { partitions: 2, key: (n) => `k${n % keys}` })
const totals = topic<number>('totals', { partitions: 1 })

/** Flushes of all sessions that begin from now on take longer. */
async function slowFlushes(server: PostgresServer): Promise<AsyncDisposable> {
  const flushes = 'fsync,fdatasync'
  const inject = `inject=${flushes}:delay_enter=${flushMs * 1_000}`
  const trace = ['-f', '-o', '/dev/null', '-e', `trace=${flushes}`, '-e', inject, '-p', `${server.pid}`]
  const strace = spawn('strace', trace, { stdio: ['ignore', 'ignore', 'pipe'] })
  for await (const line of createInterface({ input: strace.stderr })) if (/attached/.test(line)) break
  strace.stderr.resume()
  return {
    [Symbol.asyncDispose]: async () => {
      strace.kill('SIGINT')
      await once(strace, 'exit')
    },
  }
}

test('every flush of the server takes 60 ms more: all is done, once, and many share a flush (Q8, D1, V1, X1)', {
  skip: straceSkip,
}, async () => {
  requireStrace()
  await using server = await startPostgres()
  await using _ = await slowFlushes(server)
  await using bus = await openBus({ engine: postgres({ url: server.url }), topics: [orders, totals] })
  const started = performance.now()
  for (let n = 0; n < alone; n++) await bus.publish(orders, n)
  const aloneMs = performance.now() - started
  assert.ok(aloneMs >= alone * flushMs, `${alone} publishes took ${aloneMs} ms: none waited for its flush`)

  const before = performance.now()
  await Promise.all(Array.from({ length: together }, (__, n) => bus.publish(orders, alone + n)))
  const togetherMs = performance.now() - before
  assert.ok(togetherMs < (together * flushMs) / 4, `${together} publishes took ${togetherMs} ms`)

  bus.consume(orders, { group: 'count' }, async (_event, tx) => {
    const state = tx.state<number>('count')
    const count = ((await state.get()) ?? 0) + 1
    await state.set(count)
    tx.emit(totals, count)
  })
  const counts: number[] = []
  bus.consume(totals, { group: 'check', guarantee: 'at-least-once' }, (event) => {
    counts.push(event.data)
  })
  await until(() => counts.length >= alone + together)
  const expected = Array.from({ length: alone + together }, (__, n) => 1 + Math.floor(n / keys))
  assert.deepEqual(
    counts.sort((a, b) => a - b),
    expected,
  )
})
