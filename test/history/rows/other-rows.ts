import type { Script } from '../script.ts'
import type { Row } from './row.ts'

const topic = 'orders'
const p = 0

function restored(s: Script): void {
  s.log('a', 'b')
  s.poll('r', [
    [0, 'a'],
    [1, 'b'],
  ])
  s.client('engine').observed('recovered', { topic, p, end: 1, logId: 'log' })
}

export const otherRows: readonly Row[] = [
  {
    anomaly: 'prefix-break',
    title: 'the recovered log ends before what was acknowledged; if its reader is told, it may',
    bad: restored,
    good(s) {
      restored(s)
      s.start('worker', 'commit', s.step(2)).fail('LOG_REGRESSED')
    },
  },
  {
    anomaly: 'prefix-break',
    title: 'the log became another one',
    bad(s) {
      s.client('engine').observed('open', { topic, p, end: 0, logId: 'log' })
      s.client('engine').observed('open', { topic, p, end: 0, logId: 'other' })
    },
    good(s) {
      s.client('engine').observed('open', { topic, p, end: 0, logId: 'log' })
      s.client('engine').observed('open', { topic, p: 1, end: 0, logId: 'other' })
    },
  },
  {
    anomaly: 'prefix-break',
    title: 'acknowledged while the log was being opened is not before it',
    bad(s) {
      s.log('a')
      s.poll('r', [[0, 'a']])
      s.start('engine', 'open', { topic, p }).ok({ end: 0 })
    },
    good(s) {
      const open = s.start('engine', 'open', { topic, p })
      s.log('a')
      s.poll('r', [[0, 'a']])
      open.ok({ end: 0 })
    },
  },
  {
    anomaly: 'prefix-break',
    title: 'a later scan finds less',
    bad(s) {
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'x', count: 5 })
      s.call('r', 'scan', { topic, p, from: 0, to: 9 }, { hash: 'y', count: 4 })
    },
    good(s) {
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'x', count: 5 })
      s.call('r', 'scan', { topic, p, from: 0, to: 9 }, { hash: 'y', count: 9 })
    },
  },
  {
    anomaly: 'replay-diff',
    title: 'two scans of one range differ',
    bad(s) {
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'x', count: 5 })
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'y', count: 5 })
    },
    good(s) {
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'x', count: 5 })
      s.call('r', 'scan', { topic, p, from: 0, to: 5 }, { hash: 'x', count: 5 })
    },
  },
  {
    anomaly: 'hang',
    title: 'a call never settles; one of a process that was killed need not',
    bad(s) {
      s.log('x')
      s.poll('r', [[0, 'x']])
      s.start('w', 'publish', s.sent('a'), 'node-2')
      s.t += 40_000
      s.note('nemesis', 'phase', { name: 'final' })
    },
    good(s) {
      s.log('x')
      s.poll('r', [[0, 'x']])
      s.start('w', 'publish', s.sent('a'), 'node-2')
      s.note('nemesis', 'died', { node: 'node-2' })
      s.t += 40_000
      s.note('nemesis', 'phase', { name: 'final' })
    },
  },
  {
    anomaly: 'hang',
    title: 'a call settles long after its own deadline',
    bad(s) {
      const publish = s.start('w', 'publish', { ...s.sent('a'), deadlineMs: 100 })
      s.t += 5_200
      publish.ok({ p, off: 0 })
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      const publish = s.start('w', 'publish', { ...s.sent('a'), deadlineMs: 100 })
      s.t += 5_000
      publish.ok({ p, off: 0 })
      s.poll('r', [[0, 'a']])
    },
  },
  {
    anomaly: 'http-key-break',
    title: 'one key has two answers; a refusal is not an answer',
    bad(s) {
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x' })
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'y' })
    },
    good(s) {
      s.call('c', 'http', { key: 'k' }, { status: 409, bodyHash: 'y' })
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x' })
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x' })
      s.call('c', 'http', { key: 'k', scope: 'other' }, { status: 201, bodyHash: 'z' })
    },
  },
  {
    anomaly: 'http-key-break',
    title: 'one key makes two events',
    bad(s) {
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x', topic, p, off: 0 })
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x', topic, p, off: 1 })
    },
    good(s) {
      s.call('c', 'http', { key: 'k' }, { status: 201, bodyHash: 'x', topic, p, off: 0 })
      s.call('c', 'http', { key: 'l' }, { status: 201, bodyHash: 'x', topic, p, off: 1 })
    },
  },
  {
    anomaly: 'http-key-break',
    title: 'one key takes effect twice in a sink',
    bad(s) {
      s.log('a', 'b')
      for (const off of [0, 1]) {
        s.handle(off)
        s.client('sink').observed('effect', { ...s.step(off), sink: 'mail', http: 'k' })
      }
    },
    good(s) {
      s.log('a', 'b')
      for (const off of [0, 1]) {
        s.handle(off)
        s.client('sink').observed('effect', { ...s.step(off), sink: 'mail', http: `k${off}` })
      }
    },
  },
]
