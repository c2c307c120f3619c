import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { hasCode, isSemelError, openBus } from '../../src/index.ts'
import { newFile, openSource, paymentsOf, quick, requireExactlyOnce, untilBooked } from '../inbox/inbox.ts'
import { book, booked, payments } from '../inbox/topics.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { startPair } from './pair.ts'

const createLedger = 'create table ledger (account text, n integer, seq serial)'

async function openOn(url: string, reconnectMs = 30_000) {
  return await openBus({ engine: postgres({ url, reconnectMs }), topics: [payments, booked] })
}

test('nobody reads from or writes to a standby; the same bus goes on when it was promoted (Q7)', async () => {
  await using pair = await startPair({ synchronous: true })
  await using bus = await openOn(pair.url, 300)
  await bus.publish(payments, { account: 'a', n: 0 })
  await pair.standby.caughtUp()
  await failsWith('READ_ONLY_STANDBY', openOn(pair.standby.url, 300))
  await pair.primary.kill9()
  const attempts = [
    () => bus.publish(payments, { account: 'a', n: 1 }),
    () => readAll(bus, payments),
    () => bus.status(),
    () => bus.deadLetters('books').list(),
  ]
  for (const attempt of attempts) {
    const error = await attempt().catch((cause: unknown) => cause)
    assert.ok(isSemelError(error), String(error))
    assert.ok(['READ_ONLY_STANDBY', 'ENGINE_UNAVAILABLE'].includes(error.code), error.code)
    assert.ok(error.retryable)
  }
  await pair.standby.promote()
  await until(async () => (await readAll(bus, payments)).length === 1)
  await bus.publish(payments, { account: 'a', n: 1 })
  assert.equal((await readAll(bus, payments)).length, 2)
})

test('a primary that comes back after another was promoted is passed over (D6)', async () => {
  await using pair = await startPair({ synchronous: false })
  await using bus = await openOn(pair.url)
  await bus.publish(payments, { account: 'a', n: 0 })
  await pair.standby.caughtUp()
  await pair.failOver()
  await until(async () => (await readAll(bus, payments)).length === 1)
  await pair.primary.start()
  await pair.standby.server.kill9()
  const second = () => bus.publish(payments, { account: 'a', n: 1 }, { id: 'second' })
  const publishing = second().catch(second)
  await using old = await openOn(pair.primary.url)
  await pair.standby.server.start()
  await publishing
  assert.equal((await readAll(bus, payments)).length, 2)
  assert.equal((await readAll(old, payments)).length, 1, 'nothing was written to the old one')
})

test('replication lag is part of the status, and ends with its cause', async () => {
  await using pair = await startPair({ synchronous: false })
  await using bus = await openOn(pair.url)
  const lag = async () => Number((await bus.status()).storage.replicationLagBytes)
  assert.equal((await bus.status()).storage.standbys, 1)
  await until(async () => (await lag()) === 0)
  pair.link.set('both', { stalled: true })
  await bus.publishMany(paymentsOf(100, 10).map((payment) => payments.event(payment)))
  const first = await lag()
  await bus.publishMany(paymentsOf(100, 10).map((payment) => payments.event(payment)))
  assert.ok(first > 0 && (await lag()) > first)
  pair.link.heal()
  await until(async () => (await lag()) === 0)
  assert.equal(typeof (await bus.status()).storage.replicationLagMs, 'number')
})

test('a sink whose primary is killed while handlers run: each effect once (X2, Q6)', async () => {
  await using pair = await startPair({ synchronous: true })
  await pair.primary.query(createLedger)
  await using source = await openSource(sqlite({ file: newFile() }))
  await using sink = await openOn(pair.url)
  const given = paymentsOf(10, 80)
  source.consume(payments, { group: 'books', sink, retry: quick, windowEvents: 50, leaseMs: 1_000 }, book)
  for (const payment of given.slice(0, 400)) await source.publish(payments, payment)
  await untilBooked(pair.primary, 200)
  await pair.failOver()
  for (const payment of given.slice(400)) await source.publish(payments, payment)
  await untilBooked(pair.standby.server, given.length)
  await requireExactlyOnce(pair.standby.server, sink, given)
})

test('a source that lost events and grew again: its groups, elsewhere, neither skip nor repeat (D6, X2)', async () => {
  await using pair = await startPair({ synchronous: false })
  const file = newFile()
  await using sink = await openBus({ engine: sqlite({ file }), topics: [booked] })
  let handled = 0
  const count = () => {
    handled++
  }
  const source = await openOn(pair.url)
  await source.publishMany(paymentsOf(8, 2).map((payment) => payments.event(payment)))
  await pair.standby.caughtUp()
  pair.link.set('both', { stalled: true })
  await source.publishMany(paymentsOf(8, 2, 100).map((payment) => payments.event(payment)))
  const before = source.consume(payments, { group: 'books', sink }, count)
  await until(() => handled === 32)
  await before.stop()
  await pair.failOver()
  await source.stop().catch(() => undefined)

  await using promoted = await openOn(pair.standby.url)
  await promoted.publishMany(paymentsOf(8, 20, 200).map((payment) => payments.event(payment)))
  const after = promoted.consume(payments, { group: 'books', sink }, count)
  await until(() => after.tasks().filter(({ error }) => error !== undefined).length === payments.partitions)
  for (const { error } of after.tasks()) assert.ok(hasCode(error, 'LOG_REGRESSED'), String(error))
  assert.equal(handled, 32)
})

test('a reader and a group that only read notice a log that went back and grew again (D6)', async () => {
  await using pair = await startPair({ synchronous: false })
  await using bus = await openOn(pair.url)
  const writer = await openOn(pair.url)
  await writer.publishMany(paymentsOf(8, 2).map((payment) => payments.event(payment)))
  await pair.standby.caughtUp()
  pair.link.set('both', { stalled: true })
  await writer.publishMany(paymentsOf(8, 2, 100).map((payment) => payments.event(payment)))
  let handled = 0
  const consumer = bus.consume(payments, { group: 'books', leaseMs: 1_000 }, () => {
    handled++
  })
  const stop = new AbortController()
  let read = 0
  const reading = (async () => {
    for await (const _ of bus.read(payments, { follow: true, signal: stop.signal })) read++
  })()
  const ended = assert.rejects(reading, (error) => hasCode(error, 'LOG_REGRESSED'))
  await until(() => handled === 32 && read === 32)
  await pair.failOver()
  await writer.stop().catch(() => undefined)
  await using promoted = await openOn(pair.standby.url)
  await promoted.publishMany(paymentsOf(8, 20, 200).map((payment) => payments.event(payment)))
  await ended
  await until(() => hasCode(consumer.error, 'LOG_REGRESSED'))
  assert.deepEqual([handled, read], [32, 32])
})
