import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { memory } from '../../src/engines/memory/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { hasCode, openBus } from '../../src/index.ts'
import { publishInSqlite, relayOutbox, sqliteOutbox } from '../../src/outbox/index.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'
import { notes, orders } from './outbox-topics.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-outbox-'))
const program = fileURLToPath(new URL('./relay-life.ts', import.meta.url))
let files = 0
const newFile = () => join(folder, `${++files}.db`)
after(() => rmSync(folder, { recursive: true }))

function count(database: DatabaseSync): number {
  return Number(database.prepare('select count(*) as n from semel_outbox where refusal is null').get()!.n)
}

test('from the file of the bus: committed events arrive, rolled back ones never do', async () => {
  const file = newFile()
  await using bus = await openBus({ engine: sqlite({ file }), topics: [orders, notes] })
  const database = new DatabaseSync(file, { timeout: 5_000 })
  database.exec('create table account (id integer primary key)')
  const publish = (id: string) => publishInSqlite(database, orders, { customer: 'ada', n: 1 }, { id })
  database.exec('begin immediate')
  database.exec('insert into account values (1)')
  assert.equal(publish('committed'), 'committed')
  database.exec('commit; begin immediate')
  publish('rolled back')
  database.exec('rollback; begin immediate; savepoint a')
  publish('undone')
  database.exec('rollback to a')
  publish('kept')
  database.exec('commit')
  await using relay = relayOutbox({ from: sqliteOutbox({ file }), to: bus })
  await until(() => count(database) === 0)
  assert.deepEqual(
    (await readAll(bus, orders)).map(({ id }) => id),
    ['committed', 'kept'],
  )
  assert.equal(relay.relayed, 2)
  assert.equal(relay.problem, undefined)
  database.close()
})

test('an event arrives as it was published, in another engine as well', async () => {
  const file = newFile()
  await using bus = await openBus({ engine: memory(), topics: [orders, notes] })
  const database = new DatabaseSync(file)
  const attributes = {
    id: 'an id',
    key: 'k',
    type: 't',
    source: '/here',
    time: 1_700_000_000_000,
    subject: 's',
  }
  const data = { text: 'nul \u0000, quote ", 𝄞', list: [1.5, null] }
  database.exec('begin immediate')
  publishInSqlite(database, notes, data, attributes)
  publishInSqlite(database, notes, new Uint8Array([0, 255]), { key: 'k' })
  database.exec('commit')
  await using _ = relayOutbox({ from: sqliteOutbox({ file }), to: bus })
  await until(() => count(database) === 0)
  const [event, binary] = await readAll(bus, notes)
  const { subject, ...given } = attributes
  assert.deepEqual(
    { ...event, partition: 0, offset: 0, appendTime: 0 },
    {
      ...given,
      data,
      attributes: { subject },
      topic: 'notes',
      partition: 0,
      offset: 0,
      appendTime: 0,
    },
  )
  assert.deepEqual(binary!.data, Buffer.from([0, 255]))
  database.close()
})

test('what the log refuses is set aside with the reason, and the others go on', async () => {
  const file = newFile()
  await using bus = await openBus({ engine: memory(), topics: [orders] })
  await bus.publish(orders, { customer: 'ada', n: 0 }, { id: 'taken' })
  const database = new DatabaseSync(file)
  database.exec('begin immediate')
  for (const id of ['before', 'taken', 'damaged', 'after'])
    publishInSqlite(database, orders, { customer: 'ada', n: 1 }, { id })
  database.exec('commit')
  database.exec("update semel_outbox set data = '{' where event_id = 'damaged'")
  await using _ = relayOutbox({ from: sqliteOutbox({ file }), to: bus })
  await until(() => count(database) === 0)
  assert.deepEqual(
    (await readAll(bus, orders)).map(({ id }) => id),
    ['taken', 'before', 'after'],
  )
  const refused = database.prepare('select event_id, refusal from semel_outbox order by id').all()
  assert.deepEqual(
    refused.map(({ event_id }) => event_id),
    ['taken', 'damaged'],
  )
  assert.match(String(refused[0]!.refusal), /^ID_CONFLICT/)
  assert.match(String(refused[1]!.refusal), /^INVALID_DATA/)
  database.close()
})

test('a topic that the bus does not declare keeps everything waiting, and the relay says so', async () => {
  const file = newFile()
  await using bus = await openBus({ engine: memory(), topics: [orders] })
  const database = new DatabaseSync(file)
  database.exec('begin immediate')
  publishInSqlite(database, notes, 1)
  database.exec('commit')
  await using relay = relayOutbox({ from: sqliteOutbox({ file }), to: bus })
  await until(() => hasCode(relay.problem, 'UNKNOWN_TOPIC'))
  assert.equal(count(database), 1)
  database.close()
})

test('without a transaction it is refused', async () => {
  const database = new DatabaseSync(newFile())
  await failsWith('OUTSIDE_TRANSACTION', () => {
    publishInSqlite(database, notes, 1)
  })
  database.close()
})

test('a relay that is killed again and again: nothing lost, nothing doubled, in order (P5)', async () => {
  const [outbox, log] = [newFile(), newFile()]
  const database = new DatabaseSync(outbox, { timeout: 5_000 })
  let published = 0
  const publishSome = () => {
    for (let n = 0; n < 15; n++) {
      database.exec('begin immediate')
      publishInSqlite(
        database,
        orders,
        { customer: `customer-${n % 3}`, n: published },
        { id: `event-${published}` },
      )
      database.exec(n % 5 === 4 ? 'rollback' : 'commit')
      if (n % 5 !== 4) published++
    }
  }
  for (let kill = 0; kill < 3; kill++) {
    publishSome()
    const child = spawn(process.execPath, [program, outbox, log], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout!, 'data')
    publishSome()
    await pause(Math.random() * 60)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await using bus = await openBus({ engine: sqlite({ file: log }), topics: [orders, notes] })
  await using _ = relayOutbox({ from: sqliteOutbox({ file: outbox }), to: bus })
  await until(() => count(database) === 0)
  const events = await readAll(bus, orders)
  assert.equal(new Set(events.map(({ id }) => id)).size, published)
  assert.equal(events.length, published)
  for (const customer of ['customer-0', 'customer-1', 'customer-2']) {
    const numbers = events.filter(({ key }) => key === customer).map(({ data }) => data.n)
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    )
  }
  database.close()
})
