import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startKafka } from '../rig/kafka/broker.ts'
import { createTopic, disconnect, openAdmin, openProducer, produceAll } from '../rig/kafka/client.ts'
import { liveBrokers, settingsOf } from '../rig/kafka/questions.ts'

test('three brokers go on when one is killed, and count it again when it is back', async () => {
  await using kafka = await startKafka({ brokers: 3 })
  const [first, second] = kafka.brokers
  const admin = openAdmin(kafka.bootstrap)
  await createTopic(admin, 't', 3)
  const producer = await openProducer(kafka.bootstrap, { 'enable.idempotence': true })
  const messages = Array.from({ length: 30 }, (_, index) => ({ value: 'x', partition: index % 3 }))

  await second!.kill9()
  const reports = await produceAll(producer, 't', messages)

  assert.equal(reports.length, 30)
  await second!.start(3)
  assert.deepEqual((await liveBrokers(first!.port)).sort(), [1, 2, 3])
  await disconnect(producer)
  admin.disconnect()
})

test('a paused broker keeps its connections and answers nothing until it is resumed', async () => {
  await using kafka = await startKafka({ brokers: 1 })
  const [broker] = kafka.brokers
  await broker!.pause()
  const answer = liveBrokers(broker!.port)
  assert.equal(await Promise.race([answer, sleep(300, 'silent')]), 'silent')
  broker!.resume()
  assert.deepEqual(await answer, [1])
})

test('settings given to the rig reach the broker', async () => {
  await using kafka = await startKafka({ brokers: 1, settings: { 'unclean.leader.election.enable': true } })
  const wanted = ['unclean.leader.election.enable', 'transaction.max.timeout.ms']
  const settings = await settingsOf(kafka.brokers[0]!.port, 'broker', '1', wanted)
  assert.deepEqual(Object.fromEntries(settings), {
    'unclean.leader.election.enable': 'true',
    'transaction.max.timeout.ms': '900000',
  })
})

test('brokers end with the process that started them, however it ends', async (t) => {
  if (!existsSync('/usr/bin/setpriv')) return t.skip('only Linux tells children of the death of their parent')
  const folder = await mkdtemp(join(tmpdir(), 'semel-orphan-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const rig = join(import.meta.dirname, '../rig/kafka/broker.ts')
  const program = `const { startKafka } = await import('${rig}')
    const kafka = await startKafka({ brokers: 1 })
    console.log(kafka.brokers[0].pid)
    setInterval(() => {}, 1_000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  })
  const [line] = await once(parent.stdout, 'data')
  const pid = Number(String(line))
  assert.doesNotThrow(() => process.kill(pid, 0))

  parent.kill('SIGKILL')

  for (let tries = 0; isAlive(pid) && tries < 100; tries++) await sleep(50)
  assert.equal(isAlive(pid), false)
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
