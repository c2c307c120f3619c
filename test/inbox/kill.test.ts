import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import type { Bus } from '../../src/index.ts'
import { SeededRandom } from '../../src/platform/seeded-random.ts'
import { queryOnce } from '../rig/postgres/server.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'
import {
  newFile,
  newSink,
  openSink,
  openSource,
  paymentsOf,
  requireExactlyOnce,
  untilBooked,
} from './inbox.ts'
import { type Payment, payments } from './topics.ts'

const killsMin = 6
const seed = Number(process.env.SEMEL_TEST_SEED ?? Date.now() % 1_000_000)
const server = await sharedPostgres(18)

async function startConsumer(file: string, url: string): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'consumer.ts'), [file, url])
  const [message] = await once(child, 'message')
  assert.equal(message, 'joined')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  assert.deepEqual((await ended)[1], 'SIGKILL')
}

test(`SQLite to PostgreSQL under kill -9 of the consumers: exactly the truth (X2, seed ${seed})`, async () => {
  await using database = await newSink(server)
  const random = new SeededRandom(seed)
  const file = newFile()
  await using source = await openSource(sqlite({ file }))
  let kills = 0
  const publishing = publishUntil(source, () => kills === killsMin)
  const rows = async () =>
    Number((await queryOnce<{ n: string }>(database.url, 'select count(*) as n from ledger'))[0]!.n)
  const consumers = [await startConsumer(file, database.url), await startConsumer(file, database.url)]
  let killsAmidWork = 0
  for (; kills < killsMin; kills++) {
    const before = await rows()
    // Any moment will do, also one at which a consumer has only just joined.
    await pause(random.fraction() * 400)
    await kill(consumers.splice(Math.floor(random.fraction() * consumers.length), 1)[0]!)
    if ((await rows()) > before) killsAmidWork++
    consumers.push(await startConsumer(file, database.url))
  }
  assert.ok(killsAmidWork >= killsMin / 2, `${killsAmidWork} of ${kills} kills hit consumers at work`)
  const given = await publishing
  await untilBooked(database, given.length)
  for (const consumer of consumers) await kill(consumer)
  await using sink = await openSink(database.url)
  await requireExactlyOnce(database, sink, given)
})

/** Some hundred events a second. Answers all of them, in their order. */
async function publishUntil(source: Bus, done: () => boolean): Promise<readonly Payment[]> {
  const given: Payment[] = []
  for (let n = 0; !done(); n++) {
    const some = paymentsOf(6, 1, n)
    await source.publishMany(some.map((payment) => payments.event(payment)))
    given.push(...some)
    await pause(15)
  }
  return given
}
