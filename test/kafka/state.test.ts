import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import type { Engine, Lease, Membership } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { call, openAdmin, rdkafka } from '../rig/kafka/client.ts'
import { until } from '../support/until.ts'

const group = 'g'
const topics = [{ topic: 'orders', partitions: 1 }]
const keysPerUnit = 5_000
const units = 8
const keys = keysPerUnit * units

let broker: Kafka
before(async () => {
  broker = await startKafka({ brokers: 1 })
})
after(() => broker.stop())

async function opened(
  prefix: string,
  member: string,
  standby = false,
  stateDirectory: string | undefined = undefined,
): Promise<Engine> {
  const settings = { brokers: broker.bootstrap, prefix, client: rdkafka, standby, stateDirectory }
  const engine = guardEngine(kafka({ ...settings, acceptUnsafe: ['replication.factor'] }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member })
  return engine
}

class Owner {
  readonly leases: Lease[] = []
  membership: Membership | undefined

  static async join(engine: Engine): Promise<Owner> {
    const owner = new Owner()
    const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
    owner.membership = await engine.join({ group, topics, leaseMs: 10_000, report }, owner)
    return owner
  }

  assigned(leases: readonly Lease[]): void {
    this.leases.push(...leases)
  }

  async revoked(): Promise<void> {}
}

/** A task with much state, and its owner. */
async function withState(prefix: string): Promise<{ engine: Engine; owner: Owner }> {
  const engine = await opened(prefix, 'first')
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  const owner = await Owner.join(engine)
  await until(() => owner.leases.length === 1)
  const [lease] = owner.leases
  for (let unit = 0; unit < units; unit++) {
    const names = Array.from({ length: keysPerUnit }, (_, i) => `key-${unit * keysPerUnit + i}`)
    await engine.commit({
      lease: lease!,
      from: unit === 0 ? undefined : unit,
      to: unit + 1,
      logId: engine.logId,
      appends: [],
      state: [{ store: 's', keys: names, values: names.map((name) => `value of ${name}`) }],
    })
  }
  return { engine, owner }
}

interface Progress {
  readonly topic: string
  readonly restored: number
  readonly left: number
}

/** What is told of restoring while `work` runs. */
async function restoring<T>(work: (seen: Progress[]) => Promise<T>): Promise<T> {
  const seen: Progress[] = []
  // As `channels.restore` says.
  const note = (message: unknown): void => void seen.push(message as Progress)
  channel('semel:restore').subscribe(note)
  try {
    return await work(seen)
  } finally {
    channel('semel:restore').unsubscribe(note)
  }
}

/** How long the new owner took, and how many records it had to read for it. */
async function takeOver(from: Owner, engine: Engine, to: Owner) {
  return await restoring(async (seen) => {
    const started = performance.now()
    await from.membership!.leave()
    await until(() => to.leases.length === 1)
    const [value] = await engine.readState(to.leases[0]!.task, 's', [`key-${keys - 1}`])
    assert.equal(value, `value of key-${keys - 1}`)
    const records = Math.max(0, ...seen.map(({ restored }) => restored))
    return { tookMs: Math.round(performance.now() - started), records }
  })
}

test('a lost copy is restored from the changelog: progress is told and shown in status, and then all is there', async () => {
  const { engine, owner } = await withState('lost.')
  await owner.membership!.leave()
  const again = await opened('lost.', 'again')
  const shown: number[] = []
  await restoring(async (seen) => {
    let isDone = false
    const looking = (async () => {
      while (!isDone) {
        const { groups } = await again.status()
        shown.push(...groups.flatMap((task) => task.restoring ?? []))
      }
    })()
    const next = await Owner.join(again)
    await until(() => next.leases.length === 1)
    isDone = true
    await looking
    const left = seen.map((progress) => progress.left)
    assert.ok(seen.length > 4, `${seen.length} steps`)
    assert.deepEqual(
      left,
      left.toSorted((a, b) => b - a),
    )
    assert.equal(left.at(-1), 0)
    assert.ok(seen.at(-1)!.restored > keys)
    const names = ['key-0', `key-${keys - 1}`, 'none']
    assert.deepEqual(await again.readState(next.leases[0]!.task, 's', names), [
      'value of key-0',
      `value of key-${keys - 1}`,
      undefined,
    ])
  })
  assert.ok(shown.some((left) => left > 0 && left <= keys + 100))
  await again.close()
  await engine.close()
})

test('a standby copy takes over with what came since, not with the whole changelog', async (t) => {
  const { engine, owner } = await withState('stand.')
  const cold = await opened('stand.', 'cold')
  const without = await Owner.join(cold)
  const first = await takeOver(owner, cold, without)
  assert.ok(first.records > keys)

  const warm = await opened('stand.', 'warm', true)
  const standby = await restoring(async (seen) => {
    const joined = await Owner.join(warm)
    await until(() => seen.some(({ restored, left }) => restored > keys && left === 0))
    return joined
  })
  const second = await takeOver(without, warm, standby)
  assert.ok(second.records < 100, `${second.records} records`)
  const text = ({ tookMs, records }: typeof first) => `${tookMs} ms, ${records} records read`
  t.diagnostic(`taken over in ${text(first)}; with a standby copy in ${text(second)}`)
  for (const each of [engine, cold, warm]) await each.close()
})

test('the owner knows the end of its changelog without reports, whoever reads there meanwhile: never too high, and one marker too low', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'semel-state-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const engine = await opened('end.', 'owner', false, folder)
  await engine.declareTopics([{ name: 'orders', partitions: 1, dedupWindowMs: 0 }])
  const owner = await Owner.join(engine)
  await until(() => owner.leases.length === 1)
  const lease = owner.leases[0]!
  let isDone = false
  const asking = (async () => {
    while (!isDone) await engine.status()
  })()
  const commit = (unit: number) => {
    const names = Array.from({ length: unit % 4 }, (_, i) => `key-${i}`)
    const state = [{ store: 's', keys: names, values: names.map(() => `${unit}`) }]
    const from = unit === 0 ? undefined : unit
    return engine.commit({ lease, from, to: unit + 1, logId: engine.logId, appends: [], state })
  }
  for (let unit = 0; unit < 40; unit++) await commit(unit)
  isDone = true
  await asking
  for (let unit = 40; unit < 50; unit++) await commit(unit)
  await engine.close()
  const database = new DatabaseSync(join(folder, 'semel-state.db'))
  const next = Number(database.prepare('select next from task').get()!.next)
  database.close()
  const admin = openAdmin(broker.bootstrap)
  const names = await call<string[]>((done) => admin.listTopics({}, done))
  const changelog = names.find((name) => name.startsWith('end.semel.state.'))!
  const ask = [{ topic: changelog, partition: 0, offset: rdkafka.OffsetSpec.LATEST }]
  const ends = await call<{ offset: number }[]>((done) => admin.listOffsets(ask, { isolationLevel: 1 }, done))
  admin.disconnect()
  assert.equal(next, ends[0]!.offset - 1)
})
