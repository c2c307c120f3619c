import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Engine, Lease, OwnershipListener } from '../../src/engine/engine.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import type {
  ClientError,
  ClientModule,
  Config,
  TopicPartition,
} from '../../src/engines/kafka/client-types.ts'
import { kafka } from '../../src/engines/kafka/index.ts'
import { isSemelError } from '../../src/errors.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { rdkafka } from '../rig/kafka/client.ts'
import { until } from '../support/until.ts'

// In soaks a client went on believing that it had partitions which the group had given to others, for as long as it ran.

let broker: Kafka
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 1_500, 'group.consumer.heartbeat.interval.ms': 200 }
  broker = await startKafka({ brokers: 1, settings })
})
after(() => broker.stop())

type Rebalance = (error: ClientError, partitions: TopicPartition[]) => void
let made = 0
let deafUpTo = 0
/** A consumer that never hears again what its group decides, from the moment when `deafUpTo` reaches it. */
class DeafConsumer extends rdkafka.KafkaConsumer {
  readonly #number: number
  constructor(config: Config) {
    const number = ++made
    const tell = config.rebalance_cb as Rebalance | undefined
    const rebalance_cb: Rebalance = (...given) => {
      if (number > deafUpTo) tell!(...given)
    }
    super(tell === undefined ? config : { ...config, rebalance_cb })
    this.#number = number
  }

  override assignmentLost(): boolean {
    return this.#number > deafUpTo && super.assignmentLost()
  }
}

async function opened(member: string, client: ClientModule): Promise<Engine> {
  const acceptUnsafe = ['replication.factor'] as const
  const engine = guardEngine(kafka({ brokers: broker.bootstrap, client, operationMs: 3_000, acceptUnsafe }))
  await engine.open({ platform: realPlatform, durability: 'fsync', member })
  return engine
}

/** Leases as they come and go. */
class Leases implements OwnershipListener {
  readonly own: Lease[] = []
  given = 0
  assigned(leases: readonly Lease[]): void {
    this.given += leases.length
    this.own.push(...leases)
  }
  async revoked(leases: readonly Lease[]): Promise<void> {
    for (const lease of leases) this.own.splice(this.own.indexOf(lease), 1)
  }
  troubled(): void {}
}

const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
const request = { group: 'g', topics: [{ topic: 'orders', partitions: 2 }], leaseMs: 500, report }

test('who is no longer in the group and does not hear of it fences nobody, and joins anew', async () => {
  const deaf = await opened('deaf', { ...rdkafka, KafkaConsumer: DeafConsumer })
  const other = await opened('other', rdkafka)
  await deaf.declareTopics([{ name: 'orders', partitions: 2, dedupWindowMs: 0 }])
  const [before, now] = [new Leases(), new Leases()]
  const membership = await deaf.join(request, before)
  await until(() => before.own.length === 2)
  deafUpTo = made
  await other.join(request, now)
  // The group waits for one of them to be given back, and then has no deaf member any more.
  await until(() => now.own.length === 2)
  const leases = [...now.own]
  for (const lease of before.own) membership.giveBack(lease)

  const positions = new Map<Lease, number>()
  const commitOn = async (lease: Lease): Promise<void> => {
    const from = positions.get(lease)
    const to = (from ?? 0) + 1
    try {
      await other.commit({ lease, from, to, logId: other.logId, appends: [], state: [] })
      positions.set(lease, to)
    } catch (error) {
      // In the middle of a rebalance the coordinator refuses who has not heard of it yet; a task tries again.
      const isRefused = isSemelError(error) && error.retryable && error.outcome === 'not-applied'
      if (!isRefused && now.own.includes(lease)) throw error
    }
  }
  const { given } = before
  while (before.given === given) {
    for (const lease of leases) if (now.own.includes(lease)) await commitOn(lease)
  }
  assert.ok([...positions.values()].every((commits) => commits > 10))
  assert.equal(now.own.length, 1)
  assert.equal(now.given, 2, 'each was taken over once')
  await Promise.all([deaf.close(), other.close()])
})
