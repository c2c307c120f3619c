import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine, Lease, OwnershipListener, Unit } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { hasCode } from '../../src/index.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { HoldingProxy, unitKeys } from '../rig/kafka/holding-proxy.ts'
import { coordinatorOf, expel, groupState } from '../rig/kafka/questions.ts'
import { until } from '../support/until.ts'

// Units written without the client: large ones, and such whose group changes in the middle of them.

let broker: Kafka
let proxy: HoldingProxy
before(async () => {
  const advertise = async (_id: number, port: number) => {
    proxy = await HoldingProxy.listen(port)
    return proxy.port
  }
  const settings = { 'group.consumer.heartbeat.interval.ms': 200 }
  broker = await startKafka({ brokers: 1, advertise, settings })
})
after(async () => {
  await broker.stop()
  await proxy[Symbol.asyncDispose]()
})

async function opened(member: string, prefix: string, bootstrap = broker.bootstrap): Promise<Engine> {
  const acceptUnsafe = ['replication.factor', 'transaction.timeout.ms'] as const
  const reach = { brokers: bootstrap, client: rdkafka, acceptUnsafe, operationMs: 20_000 }
  const engine = guardEngine(kafka({ ...reach, prefix }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member })
  const names = ['orders', 'totals']
  await engine.declareTopics(names.map((name) => ({ name, partitions: 1, dedupWindowMs: 0 })))
  return engine
}

class Leases implements OwnershipListener {
  readonly own: Lease[] = []
  readonly gone: string[] = []
  assigned(leases: readonly Lease[]): void {
    this.own.push(...leases)
  }
  async revoked(leases: readonly Lease[], reason: string): Promise<void> {
    for (const lease of leases) this.own.splice(this.own.indexOf(lease), 1)
    this.gone.push(reason)
  }
  troubled(): void {}
}

const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
const request = { group: 'g', topics: [{ topic: 'orders', partitions: 1 }], leaseMs: 5_000, report }

async function joined(engine: Engine): Promise<Leases> {
  const leases = new Leases()
  await engine.join(request, leases)
  await until(() => leases.own.length === 1)
  return leases
}

/** From one position to the next: an event that says which, and the same in state. */
function unit(engine: Engine, lease: Lease, to: number): Unit {
  const record = { id: `e${to}`, source: '/t', type: 't', time: 0, key: 'k', data: to, attributes: undefined }
  return {
    lease,
    from: to === 1 ? undefined : to - 1,
    to,
    logId: engine.logId,
    appends: [{ topic: 'totals', partition: 0, records: [record], callOf: undefined, fresh: false }],
    state: [{ store: 's', keys: ['k'], values: [String(to)] }],
  }
}

/** A transaction is seen a moment after its commit is answered. */
async function requireEmitted(engine: Engine, ids: readonly string[]): Promise<void> {
  const found = async () => {
    const own: string[] = []
    for (let offset = 0; ; ) {
      const range = { topic: 'totals', partition: 0, offset, maxEvents: 4_000, maxBytes: 4 << 20 }
      const { events, next, end } = await engine.read(range)
      own.push(...events.map(({ id }) => id))
      if (next >= end) return own
      offset = next
    }
  }
  await until(async () => (await found()).length >= ids.length)
  assert.deepEqual(await found(), ids)
}

const task = { group: 'g', topic: 'orders', partition: 0 }

test('a unit that takes several batches of a partition is there once and whole, and who comes next has its state (X1, Z1)', async () => {
  const prefix = 'large.'
  const one = await opened('one', prefix)
  const leases = await joined(one)
  const text = 'x'.repeat(1_000)
  const records = Array.from({ length: 3_000 }, (_, i) => {
    return { id: `e${i}`, source: '/t', type: 't', time: 0, key: 'k', data: text, attributes: undefined }
  })
  const keys = records.map(({ id }) => id)
  const values = keys.map((id) => JSON.stringify(`${id} ${text}`))
  const lease = leases.own[0]!
  await one.commit({
    ...unit(one, lease, 1),
    appends: [{ topic: 'totals', partition: 0, records, callOf: undefined, fresh: false }],
    state: [{ store: 's', keys, values }],
  })
  // What its copy of the state says of the changelog still holds.
  await one.commit(unit(one, lease, 2))
  assert.deepEqual(await one.readState(task, 's', keys), values)
  await requireEmitted(one, [...keys, 'e2'])
  const two = await opened('two', prefix)
  await one.close()
  const [next] = (await joined(two)).own
  assert.deepEqual(await two.load(next!), { position: 2, logId: two.logId })
  assert.deepEqual(await two.readState(task, 's', ['k', ...keys]), ['2', ...values])
  await two.close()
})

test('a member joins in the middle of a unit: it is committed once, in the epoch that its owner has by then (X1, Z1)', async () => {
  const prefix = 'joins.'
  const one = await opened('one', prefix)
  const leases = await joined(one)
  const [lease] = leases.own
  await one.commit(unit(one, lease!, 1))
  const members = async () => (await groupState(broker.brokers[0]!.port, `${prefix}g`)).members
  const [before] = await members()
  proxy.hold(unitKeys.offsetCommit)
  const second = one.commit(unit(one, lease!, 2))
  await proxy.held()
  const two = await opened('two', prefix)
  await two.join(request, new Leases())
  const hasMoved = async () => {
    const now = (await members()).find(({ memberId }) => memberId === before!.memberId)
    return now!.epoch > before!.epoch
  }
  await until(hasMoved)
  await proxy.release()
  await second
  await one.commit(unit(one, lease!, 3))
  await requireEmitted(one, ['e1', 'e2', 'e3'])
  assert.deepEqual(leases.gone, [])
  assert.deepEqual(await one.readState(task, 's', ['k']), ['3'])
  await Promise.all([one.close(), two.close()])
})

test('a member is thrown out of its group in the middle of a unit: FENCED, and nothing of it is there (X1, Z1)', async () => {
  const prefix = 'expelled.'
  const engine = await opened('one', prefix)
  const leases = await joined(engine)
  const [lease] = leases.own
  await engine.commit(unit(engine, lease!, 1))
  const { port } = broker.brokers[0]!
  const [member] = (await groupState(port, `${prefix}g`)).members
  proxy.hold(unitKeys.offsetCommit)
  const second = engine.commit(unit(engine, lease!, 2))
  await proxy.held()
  await expel(port, `${prefix}g`, member!.memberId)
  await proxy.release()
  await assert.rejects(second, (error) => hasCode(error, 'FENCED'))
  // It joins again by itself.
  await until(() => leases.own.length === 1 && leases.own[0]!.epoch > lease!.epoch)
  const next = leases.own[0]!
  assert.deepEqual(await engine.load(next), { position: 1, logId: engine.logId })
  await engine.commit(unit(engine, next, 2))
  await requireEmitted(engine, ['e1', 'e2'])
  await engine.close()
})

test('the coordinator of the group is killed in the middle of a unit: it is committed once, at the next one (X1, K1)', async () => {
  const proxies = new Map<number, HoldingProxy>()
  const advertise = async (id: number, port: number) => {
    const own = await HoldingProxy.listen(port)
    proxies.set(id, own)
    return own.port
  }
  await using cluster = await startKafka({ brokers: 3, advertise })
  const engine = await opened('one', 'moves.', cluster.bootstrap)
  const leases = await joined(engine)
  await cluster.inSync()
  const coordinator = async () => {
    const [alive] = cluster.brokers.filter(({ pid }) => pid !== undefined)
    return (await coordinatorOf(alive!.port, 'moves.g')).id
  }
  const old = await coordinator()
  let position = 0
  const commitNext = async (): Promise<void> => {
    await engine.commit(unit(engine, leases.own[0]!, position + 1))
    position += 1
  }
  await commitNext()
  proxies.get(old)!.hold(unitKeys.offsetCommit)
  const second = commitNext()
  await proxies.get(old)!.held()
  await cluster.brokers.find(({ id }) => id === old)!.kill9()
  await second
  assert.notEqual(await coordinator(), old)
  await commitNext()
  await requireEmitted(engine, ['e1', 'e2', 'e3'])
  await engine.close()
  for (const own of proxies.values()) await own[Symbol.asyncDispose]()
})
