import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kafka } from '../../src/engines/kafka/index.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { requireMoved } from '../move/moved-groups.ts'
import { newFile } from '../move/world.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { freshDatabase } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'

const server = await sharedPostgres(18)
let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

function inKafka(prefix: string) {
  const { bootstrap: brokers } = broker
  return () => kafka({ brokers, prefix, client: rdkafka, acceptUnsafe: ['replication.factor'] })
}

test('from SQLite to Kafka while programs run: positions by event, state, work above the position (X2)', async () => {
  const file = newFile()
  const { tasks } = await requireMoved(() => sqlite({ file }), inKafka('from-sqlite.'))
  assert.ok(
    tasks.some(({ from, to }) => from !== to),
    'offsets are others there, and positions were mapped',
  )
})

test('from PostgreSQL to Kafka while programs run: positions by event, state, work above the position (X2)', async () => {
  await using database = await freshDatabase(server)
  const { tasks } = await requireMoved(() => postgres({ url: database.url }), inKafka('from-postgres.'))
  assert.ok(tasks.length > 0)
})
