import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { isSemelError, moveTopic } from '../../src/index.ts'
import { publishIn, sequenceOutbox, viaPg } from '../../src/outbox/index.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { booked, group, type Payment, payments } from './topics.ts'
import { consume, newFile, openPayments } from './world.ts'

const server = await sharedPostgres(18)

test('redrives that were asked for and that no task came to are done at the new place, each once (X1)', async () => {
  await using database = await freshDatabase(server)
  await using source = await openPayments(sqlite({ file: newFile() }))
  await using target = await openPayments(postgres({ url: database.url }))
  const failing = ['eve', 'ada', 'bob', 'cleo']
  for (const account of failing) await source.publish(payments, { account, n: 0 })
  const old = consume(source, async () => {
    throw new Error('out of order')
  })
  await until(async () => (await source.deadLetters(group).list()).length === failing.length)
  await old.stop()
  const letters = await source.deadLetters(group).list()
  const asked = letters.filter(({ event }) => (event.data as Payment).account !== 'eve')
  await source.deadLetters(group).redrive(asked)
  await source.deadLetters(group).redrive(asked.slice(0, 1))

  await moveTopic({ from: source, to: target, topic: payments, place: 'the new place' })
  consume(target)
  await until(async () => (await readAll(target, booked)).length >= asked.length)
  // Behind the redrives of its partition, so these are over when it is booked.
  await until(async () => (await target.deadLetters(group).list()).length === 1)
  const [left] = await target.deadLetters(group).list()
  assert.equal((left!.event.data as Payment).account, 'eve', 'nobody asked for this one')
  await target.deadLetters(group).redrive([left!])
  await until(async () => (await target.deadLetters(group).list()).length === 0)
  const effects = (await readAll(target, booked)).map(({ data }) => `${data.account} ${data.count}`)
  assert.deepEqual(effects.sort(), ['ada 1', 'bob 1', 'cleo 1', 'eve 1'])
})

test('events that wait in the outbox are not left behind: the topic is moved when they are in the log', async () => {
  await using database = await freshDatabase(server)
  await using source = await openPayments(postgres({ url: database.url }))
  await using target = await openPayments(sqlite({ file: newFile() }))
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query('begin')
    await publishIn(viaPg(client), payments, { account: 'ada', n: 0 }, { id: 'committed' })
    await client.query('commit')
  } finally {
    await client.end()
  }
  const steps: string[] = []
  const moving = moveTopic({
    from: source,
    to: target,
    topic: payments,
    place: 'the new place',
    onProgress: ({ step }) => steps.push(step),
  })
  const holds = () => steps.filter((step) => step === 'holding').length
  await until(() => holds() === 1)
  await until(() => source.publish(payments, { account: 'bob', n: 0 }, { id: 'after' }).then(isDone, isHeld))
  await using _ = await sequenceOutbox(source)
  await moving
  assert.ok(
    holds() > 1 && !steps.slice(0, steps.lastIndexOf('holding')).includes('positions'),
    steps.join(' '),
  )
  const ids = (await readAll(target, payments)).map(({ id }) => id)
  assert.deepEqual(ids.sort(), ['after', 'committed'])
})

const isDone = () => true

/** The topic is held for a moment; what was published then was refused. */
function isHeld(error: unknown): boolean {
  assert.ok(isSemelError(error) && error.code === 'TOPIC_MOVED' && error.retryable, String(error))
  return false
}
