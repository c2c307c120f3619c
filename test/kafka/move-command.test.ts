import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { kafka } from '../../src/engines/kafka/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { type CliResult, runCli } from '../cli/run-cli.ts'
import { booked, group, payments } from '../move/topics.ts'
import { consume, newFile, openPayments } from '../move/world.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { readAll } from '../support/read-all.ts'
import { failsWith } from '../support/rejects.ts'
import { until } from '../support/until.ts'

const hook = pathToFileURL(join(import.meta.dirname, '../rig/kafka/client-hook.ts')).href
const prefix = 'by-command.'
const acceptUnsafe = ['replication.factor'] as const

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

async function semel(...args: readonly string[]): Promise<CliResult> {
  return await runCli(args, '', { ...process.env, NODE_OPTIONS: `--import ${hook}` })
}

test('the command moves a topic and its groups to an address of Kafka, and copies one there', async () => {
  const file = newFile()
  const kafkaOptions = `${file}.kafka.json`
  const at = `kafka://${broker.bootstrap}/${prefix}`
  await using source = await openPayments(sqlite({ file }))
  const accounts = ['ada', 'bob', 'cleo']
  for (const account of accounts) await source.publish(payments, { account, n: 0 })
  const old = consume(source)
  await until(async () => (await readAll(source, booked)).length === accounts.length)
  await old.stop()

  const refused = await semel('move', file, at, '--topic', 'payments', '--json')
  assert.notEqual(refused.status, 0)
  assert.match(refused.err, /replication\.factor/, 'one replica is unsafe, and named')
  await source.publish(payments, { account: 'ada', n: 1 })

  writeFileSync(kafkaOptions, JSON.stringify({ acceptUnsafe }))
  const command = [file, at, '--topic', 'payments', '--kafka-options', kafkaOptions] as const
  const moved = await semel('move', ...command)
  assert.equal(moved.status, 0, moved.err)
  assert.match(moved.out, /4 events, 1 groups? with 3 positions/)
  await failsWith('TOPIC_MOVED', source.publish(payments, { account: 'ada', n: 2 }))
  const again = await semel('move', ...command)
  assert.equal(again.status, 0, again.err)
  assert.match(again.out, /had been switched before/)
  const copied = await semel('copy', file, at, '--topic', 'booked', '--kafka-options', kafkaOptions)
  assert.equal(copied.status, 0, copied.err)

  const engine = kafka({ brokers: broker.bootstrap, prefix, client: rdkafka, acceptUnsafe })
  await using target = await openPayments(engine)
  consume(target)
  await target.publish(payments, { account: 'ada', n: 2 })
  const effects = async () => (await readAll(target, booked)).map(({ data }) => data)
  await until(async () => (await effects()).length >= accounts.length + 2)
  assert.deepEqual(
    (await effects()).filter(({ account }) => account === 'ada').map(({ n, count }) => [n, count]),
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
    'state and positions came along',
  )
  assert.equal((await target.status()).groups.filter((task) => task.group === group).length, 1)
})
