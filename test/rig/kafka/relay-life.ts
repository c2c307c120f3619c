// One relay of an outbox to Kafka, which kills itself at `name:hit` of a step. Started with bootstrap, prefix, the
// outbox (a file, or an address and a schema behind `#`) and the step. Prints `ready`; ends in order on SIGTERM.

import type { Engine } from '../../../src/engine/engine.ts'
import { kafka } from '../../../src/engines/kafka/index.ts'
import { postgres } from '../../../src/engines/postgres/index.ts'
import { type Bus, openBus, topic } from '../../../src/index.ts'
import { type OutboxSource, relayOutbox, sequenceOutbox, sqliteOutbox } from '../../../src/outbox/index.ts'
import { orders as kept, notes, type Order } from '../../outbox/outbox-topics.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'
import { rdkafka } from './client.ts'

export const orders = topic<Order>('orders', { partitions: 4, dedup: false, key: ({ customer }) => customer })
/** Events in one unit: a busy outbox is moved in several. */
const leaseMs = 1_000

export function openTarget(
  bootstrap: string,
  prefix: string,
  wrap = (engine: Engine): Engine => engine,
): Promise<Bus> {
  const engine = kafka({
    brokers: bootstrap,
    prefix,
    client: rdkafka,
    transactionTimeoutMs: 5_000,
    acceptUnsafe: ['replication.factor', 'transaction.timeout.ms'],
  })
  return openBus({ engine: wrap(engine), topics: [orders] })
}

async function live(bootstrap: string, prefix: string, outbox: string, crashAt: string): Promise<void> {
  const [name, hit] = crashAt.split(':')
  let hits = 0
  const point = (step: string): void => {
    if (step === name && ++hits === Number(hit)) process.kill(process.pid, 'SIGKILL')
  }
  const to = await openTarget(bootstrap, prefix, (engine) => withPoints(engine, point))
  const end = outbox.startsWith('postgres') ? await sequence(outbox, to) : relay(outbox, to, point)
  process.once('SIGTERM', () => void end().then(() => to.stop()))
  process.stdout.write('ready\n')
}

type Point = (step: string) => void

function withPoints(engine: Engine, point: Point): Engine {
  return wrapEngine(engine, {
    commit: async (unit) => {
      if (unit.appends.length === 0) return await engine.commit(unit)
      point('publish')
      const committing = engine.commit(unit)
      // Its transaction has begun.
      setTimeout(() => point('publishing'), 3)
      await committing
      point('published')
    },
  })
}

function relay(file: string, to: Bus, point: Point): () => Promise<void> {
  const outbox = sqliteOutbox({ file })
  const from: OutboxSource = {
    name: outbox.name,
    read: (events, bytes) => outbox.read(Math.min(events, 20), bytes),
    setAside: (row, reason) => outbox.setAside(row, reason),
    close: () => outbox.close(),
    remove: async (rows) => {
      await outbox.remove(rows)
      if (rows.length > 0) point('removed')
    },
  }
  const running = relayOutbox({ from, to, leaseMs })
  return () => running.stop()
}

async function sequence(place: string, into: Bus): Promise<() => Promise<void>> {
  const [url, schema] = place.split('#') as [string, string]
  const bus = await openBus({ engine: postgres({ url, schema }), topics: [kept, notes] })
  const running = await sequenceOutbox(bus, { into, leaseMs })
  return async () => {
    await running.stop()
    await bus.stop()
  }
}

const [bootstrap, prefix, outbox, crashAt = ''] = process.argv.slice(2)
if (outbox !== undefined) await live(bootstrap!, prefix!, outbox, crashAt)
