import type { Engine, UnitTransaction } from '../../src/engine/engine.ts'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus } from '../../src/index.ts'
import { sequenceOutbox } from '../../src/outbox/index.ts'
import { wrapEngine } from '../support/wrap-engine.ts'
import { notes, orders } from './outbox-topics.ts'

/** A process that moves the outbox of one schema until it is killed, by itself at `name:hit` of a step, or by others. */
const [url, schema, crashAt = ''] = process.argv.slice(2)
const [name, hit] = crashAt.split(':')
let hits = 0

function point(step: string): void {
  if (step === name && ++hits === Number(hit)) process.kill(process.pid, 'SIGKILL')
}

function withPoints(engine: Engine): Engine {
  return wrapEngine(engine, {
    begin: async (lease, signal) => {
      const transaction = await engine.begin(lease, signal)
      point('begun')
      return new Proxy(transaction, { get: (target, member) => stepOf(target, member) })
    },
  })
}

function stepOf(transaction: UnitTransaction, member: string | symbol): unknown {
  if (member === 'query') {
    return async (text: string, params: readonly unknown[]) => {
      const rows = await transaction.query(text, params)
      if (rows.length > 0) point('taken')
      return rows
    }
  }
  if (member === 'commit') {
    return async (unit: Parameters<UnitTransaction['commit']>[0]) => {
      point('commit')
      const committing = transaction.commit(unit)
      // Its first statement is on its way.
      setImmediate(() => point('committing'))
      await committing
      point('committed')
    }
  }
  const value: unknown = Reflect.get(transaction, member)
  return typeof value === 'function' ? value.bind(transaction) : value
}

const engine = withPoints(postgres({ url: url!, schema: schema! }))
const bus = await openBus({ engine, topics: [orders, notes], member: `pid-${process.pid}` })
const sequencer = await sequenceOutbox(bus, { leaseMs: 300 })
process.stdout.write('ready\n')
process.once('SIGTERM', () => {
  void sequencer.stop().then(() => bus.stop())
})
