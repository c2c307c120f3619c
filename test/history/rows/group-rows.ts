import type { Script } from '../script.ts'
import type { Row } from './row.ts'

const topic = 'orders'
const p = 0
const task = { g: 'billing', topic, p }
const atLeastOnce = { groups: { billing: { guarantee: 'at-least-once' as const } } }
const atMostOnce = { groups: { billing: { guarantee: 'at-most-once' as const } } }

function effect(s: Script, off: number, rest: object = {}): void {
  s.client('sink').observed('effect', { ...task, off, sink: 'balance', ...rest })
}

function keyed(s: Script, ...keys: readonly string[]): void {
  for (const [off, key] of keys.entries())
    s.call('writer', 'publish', { topic, key, id: `e${off}`, val: `e${off}`, n: off + 1 }, { p, off })
}

export const groupRows: readonly Row[] = [
  {
    anomaly: 'over-consume',
    title: 'at most once, handled twice; a replay is another unit',
    options: atMostOnce,
    bad(s) {
      s.log('a')
      s.handle(0)
      s.handle(0)
    },
    good(s) {
      s.log('a')
      s.handle(0)
      s.handle(0, { replay: 'again' })
    },
  },
  {
    anomaly: 'over-consume',
    title: 'exactly once, two effects; at least once may',
    goodOptions: atLeastOnce,
    bad(s) {
      s.log('a')
      s.handle(0)
      effect(s, 0)
      effect(s, 0)
    },
    also: ['ledger'],
    good(s) {
      s.log('a')
      s.handle(0)
      effect(s, 0)
      effect(s, 0)
    },
  },
  {
    anomaly: 'under-consume',
    title: 'an event is never handled; a dead letter need not be',
    bad(s) {
      s.log('a', 'b')
      s.handle(0)
      s.poll('r', [
        [0, 'a'],
        [1, 'b'],
      ])
    },
    good(s) {
      s.log('a', 'b')
      s.handle(0)
      s.start('worker', 'handle', s.step(1)).fail('Error')
      s.call('worker', 'dlq', s.step(1))
      s.poll('r', [
        [0, 'a'],
        [1, 'b'],
      ])
    },
  },
  {
    anomaly: 'under-consume',
    title: 'a whole partition that the group never touched',
    bad(s) {
      s.publish('w1', 'a', 0)
      s.publish('w2', 'b', 0, 1)
      s.handle(0, { id: 'a' })
      s.poll('r', [[0, 'b']], 1)
    },
    good(s) {
      s.publish('w1', 'a', 0)
      s.publish('w2', 'b', 0, 1)
      s.handle(0, { id: 'a' })
      s.handle(0, { id: 'b', p: 1 })
    },
  },
  {
    anomaly: 'under-consume',
    title: 'exactly once, handled without effect; a handler that filters may',
    also: ['ledger'],
    goodOptions: { groups: { billing: { effects: 'some' } } },
    ...(() => {
      const history = (s: Script) => {
        s.log('a', 'b')
        s.handle(0)
        s.handle(1)
        effect(s, 0)
      }
      return { bad: history, good: history }
    })(),
  },
  {
    anomaly: 'both-ways',
    title: 'succeeded and parked by one owner; a later owner may park what an earlier one could not commit',
    bad(s) {
      s.log('a')
      s.handle(0, { epoch: 1 })
      s.call('worker', 'dlq', s.step(0, { epoch: 1 }))
    },
    good(s) {
      s.log('a')
      s.handle(0, { epoch: 1 })
      s.start('w2', 'handle', s.step(0, { epoch: 2 })).fail('Error')
      s.call('w2', 'dlq', s.step(0, { epoch: 2 }))
    },
  },
  {
    anomaly: 'both-ways',
    title: 'parked twice',
    bad(s) {
      s.log('a')
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.call('worker', 'dlq', s.step(0))
      s.call('worker', 'dlq', s.step(0))
    },
    good(s) {
      s.log('a')
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.start('worker', 'dlq', s.step(0)).info('TIMEOUT')
      s.call('worker', 'dlq', s.step(0))
    },
  },
  {
    anomaly: 'both-ways',
    title: 'took effect and was parked',
    bad(s) {
      s.log('a')
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.call('worker', 'dlq', s.step(0))
      effect(s, 0)
    },
    also: ['ledger'],
    good(s) {
      s.log('a', 'b')
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.call('worker', 'dlq', s.step(0))
      s.handle(1)
      effect(s, 1)
    },
  },
  {
    anomaly: 'both-ways',
    title: 'handled again after it was parked; an owner from before may still run',
    bad(s) {
      s.log('a')
      s.start('worker', 'handle', s.step(0, { epoch: 1 })).fail('Error')
      s.call('worker', 'dlq', s.step(0, { epoch: 1 }))
      s.handle(0, { epoch: 2 })
    },
    good(s) {
      s.log('a')
      s.start('worker', 'handle', s.step(0, { epoch: 2 })).fail('Error')
      s.call('worker', 'dlq', s.step(0, { epoch: 2 }))
      s.handle(0, { epoch: 1 }, 'zombie')
    },
  },
  {
    anomaly: 'commit-ahead',
    title: 'a position over an event that is still handled; at most once it may be',
    goodOptions: atMostOnce,
    ...(() => {
      const history = (s: Script) => {
        s.log('a', 'b')
        s.handle(1)
        s.commit(2)
        s.handle(0)
      }
      return { bad: history, good: history }
    })(),
  },
  {
    anomaly: 'commit-ahead',
    title: 'a position over a hole, and the hole over which one may go',
    also: ['under-consume'],
    bad(s) {
      s.log('a', 'b')
      s.handle(1)
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.commit(2)
    },
    good(s) {
      s.log('a', 'b')
      s.handle(1)
      s.start('worker', 'handle', s.step(0)).fail('Error')
      s.call('worker', 'dlq', s.step(0))
      s.commit(2)
    },
  },
  {
    anomaly: 'commit-back',
    title: 'a position goes back; after a replay it may',
    bad(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      s.commit(2)
      s.commit(1)
    },
    good(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      s.commit(2)
      s.note('admin', 'replay', { topic, p, g: 'billing' })
      s.commit(1)
    },
  },
  {
    anomaly: 'commit-back',
    title: 'inside a transaction; commits under way at once have no order',
    bad(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      s.commit(2)
      s.call('worker', 'tx', { micro: [], commit: s.step(1) }, { micro: [] })
    },
    good(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      const late = s.start('w2', 'tx', { micro: [], commit: s.step(1) })
      s.commit(2)
      late.ok({ micro: [] })
    },
  },
  {
    anomaly: 'fence-break',
    title: 'an old owner commits after a new one was let in; before, it may',
    bad(s) {
      s.log('a')
      s.call('w1', 'acquire', task, { epoch: 1 })
      s.handle(0, { epoch: 1 })
      s.call('w2', 'acquire', task, { epoch: 2 })
      s.commit(1, { epoch: 1 }, 'w1')
    },
    good(s) {
      s.log('a')
      s.call('w1', 'acquire', task, { epoch: 1 })
      s.handle(0, { epoch: 1 })
      const commit = s.start('w1', 'commit', s.step(1, { epoch: 1 }))
      s.call('w2', 'acquire', task, { epoch: 2 })
      commit.ok()
    },
  },
  {
    anomaly: 'fence-break',
    title: 'one epoch is granted to two',
    bad(s) {
      s.log('a')
      s.handle(0)
      s.call('w1', 'acquire', task, { epoch: 1 })
      s.call('w2', 'acquire', task, { epoch: 1 })
    },
    good(s) {
      s.log('a')
      s.handle(0)
      s.call('w1', 'acquire', task, { epoch: 1 })
      s.call('w2', 'acquire', { ...task, p: 1 }, { epoch: 1 })
    },
  },
  {
    anomaly: 'fence-break',
    title: 'a late effect in the order of the sink',
    bad(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      effect(s, 0, { seq: 1, epoch: 2 })
      effect(s, 1, { seq: 2, epoch: 1 })
    },
    good(s) {
      s.log('a', 'b')
      s.handle(0)
      s.handle(1)
      effect(s, 1, { seq: 2, epoch: 2 })
      effect(s, 0, { seq: 1, epoch: 1 })
    },
  },
  {
    anomaly: 'key-order-break',
    title: 'handlers of one key out of order; two keys may be',
    bad(s) {
      keyed(s, 'k', 'k')
      s.handle(1)
      s.handle(0)
    },
    good(s) {
      keyed(s, 'k', 'l')
      s.handle(1)
      s.handle(0)
    },
  },
  {
    anomaly: 'key-order-break',
    title: 'effects of one key out of order',
    bad(s) {
      keyed(s, 'k', 'k')
      s.handle(0)
      s.handle(1)
      effect(s, 1, { key: 'k', n: 2 })
      effect(s, 0, { key: 'k', n: 1 })
    },
    good(s) {
      keyed(s, 'k', 'k')
      s.handle(0)
      s.handle(1)
      effect(s, 1, { key: 'k', n: 2, seq: 2 })
      effect(s, 0, { key: 'k', n: 1, seq: 1 })
    },
  },
  {
    anomaly: 'key-order-break',
    title: 'a group that chose to break the order',
    goodOptions: { groups: { billing: { keyOrder: 'broken' } } },
    ...(() => {
      const history = (s: Script) => {
        keyed(s, 'k', 'k')
        s.handle(1)
        s.handle(0)
      }
      return { bad: history, good: history }
    })(),
  },
  {
    anomaly: 'ledger',
    title: 'effects do not add up to the log',
    bad(s) {
      keyed(s, 'k', 'k')
      s.handle(0)
      s.handle(1)
      effect(s, 0, { key: 'k', n: 1 })
      effect(s, 1, { key: 'k', n: 1 })
    },
    good(s) {
      keyed(s, 'k', 'k')
      s.handle(0)
      s.handle(1)
      effect(s, 0, { key: 'k', n: 1 })
      effect(s, 1, { key: 'k', n: 2 })
    },
  },
  ...(['sum', 'count', 'min', 'max'] as const).map(
    (name): Row => ({
      anomaly: 'ledger',
      title: `the sink's own ${name} is not the log's`,
      bad(s) {
        keyed(s, 'k', 'k', 'l')
        for (const off of [0, 1, 2]) s.handle(off)
        s.client('sink').observed('ledger', { sink: 'balance', g: 'billing', topic, key: 'k', [name]: 99 })
      },
      good(s) {
        keyed(s, 'k', 'k', 'l')
        for (const off of [0, 1, 2]) s.handle(off)
        const right = { sum: 3, count: 2, min: 1, max: 2 }
        s.client('sink').observed('ledger', { sink: 'balance', g: 'billing', topic, key: 'k', ...right })
      },
    }),
  ),
  {
    anomaly: 'stale',
    title: 'a group has not caught up in time after the last fault',
    options: { healMs: 100 },
    bad(s) {
      s.note('nemesis', 'fault', { name: 'kill', state: 'on' })
      s.log('a')
      s.note('nemesis', 'fault', { name: 'kill', state: 'off' })
      s.t += 200
      s.handle(0)
      s.commit(1)
    },
    good(s) {
      s.note('nemesis', 'fault', { name: 'kill', state: 'on' })
      s.log('a')
      s.note('nemesis', 'fault', { name: 'kill', state: 'off' })
      s.handle(0)
      s.commit(1)
      s.t += 200
    },
  },
]
