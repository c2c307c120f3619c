import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.ts'
import { CountedPublishers } from './counted-publishers.ts'
import { OutboxDatabase } from './outbox-database.ts'

const program = fileURLToPath(new URL('./crash-life.ts', import.meta.url))
const steps = ['begun:2', 'taken:1', 'commit:2', 'committing:1', 'committing:3', 'committed:1']
const randomKills = 3

const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

function sequencerProcess({ url, schema }: OutboxDatabase, crashAt = ''): ChildProcess {
  const args = [program, url, schema, crashAt]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

/** Its whole life; the kill must hit. */
async function liveAndDie(child: ChildProcess): Promise<void> {
  const late = setTimeout(() => child.kill('SIGABRT'), 20_000)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(late)
  assert.equal(signal, 'SIGKILL', `ended with ${code}`)
}

test('sequencers killed at named steps and at random: nothing lost, nothing doubled, in order (P5)', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  let stop = false
  const publishing = publishers.run(6, () => stop)
  for (const step of steps) await liveAndDie(sequencerProcess(database, step))
  for (let kill = 0; kill < randomKills; kill++) {
    const child = sequencerProcess(database)
    await once(child.stdout!, 'data')
    await pause(Math.random() * 300)
    child.kill('SIGKILL')
    await liveAndDie(child)
  }
  stop = true
  await publishing
  const last = sequencerProcess(database)
  await until(async () => (await database.waiting()) === 0)
  last.kill('SIGTERM')
  const [code] = await once(last, 'exit')
  assert.equal(code, 0)
  await publishers.check()
})

test('a sequencer that is killed is replaced by one that stands ready', async () => {
  await using database = await OutboxDatabase.open()
  const publishers = await CountedPublishers.on(database)
  const pair = [sequencerProcess(database), sequencerProcess(database)]
  await Promise.all(pair.map(({ stdout }) => once(stdout!, 'data')))
  const killed = await activeOf(database, pair)
  await publishers.run(4, (round) => round === 3)
  await until(async () => (await database.waiting()) === 0)
  killed.kill('SIGKILL')
  await publishers.run(4, (round) => round === 6)
  await until(async () => (await database.waiting()) === 0)
  const other = pair.find((child) => child !== killed)!
  assert.equal(await activeOf(database, [other]), other)
  other.kill('SIGTERM')
  await once(other, 'exit')
  await publishers.check()
})

/** Waits for it: on a busy machine a lease runs out now and then, and for a moment nobody has it. */
async function activeOf({ bus }: OutboxDatabase, processes: readonly ChildProcess[]): Promise<ChildProcess> {
  let active: ChildProcess | undefined
  await until(async () => {
    const { outbox } = await bus.status()
    active = processes.find(({ pid }) => outbox!.sequencer === `pid-${pid}`)
    return active !== undefined
  })
  return active!
}
