import type { Row } from './row.ts'

const topic = 'orders'

export const logRows: readonly Row[] = [
  {
    anomaly: 'inconsistent-offset',
    title: 'two readers find different events at one offset',
    bad(s) {
      s.publish('w1', 'a', 0)
      s.publish('w2', 'b', 0)
      s.poll('r1', [[0, 'a']])
      s.poll('r2', [[0, 'b']])
    },
    good(s) {
      s.publish('w1', 'a', 0)
      s.publish('w2', 'b', 1)
      s.poll('r1', [[0, 'a']])
      s.poll('r2', [[1, 'b']])
    },
  },
  {
    anomaly: 'duplicate',
    title: 'without an id, one attempt is at two offsets; two attempts may be',
    bad(s) {
      s.call('w', 'publish', s.sent('a', null, null), { p: 0, off: 0 })
      s.call(
        'r',
        'poll',
        { topic },
        {
          recs: {
            0: [
              [0, null, 'a'],
              [1, null, 'a'],
            ],
          },
        },
      )
    },
    good(s) {
      s.start('w', 'publish', s.sent('a', null, null)).info('TIMEOUT')
      s.call('w', 'publish', s.sent('a', null, null), { p: 0, off: 1 })
      s.call(
        'r',
        'poll',
        { topic },
        {
          recs: {
            0: [
              [0, null, 'a'],
              [1, null, 'a'],
            ],
          },
        },
      )
    },
  },
  {
    anomaly: 'duplicate',
    title: 'an id is at two offsets inside its window; after it, it may be',
    also: ['dedup-break'],
    options: { dedup: { windowMs: 1000 } },
    bad(s) {
      s.publish('w', 'a', 0)
      s.t += 500
      s.publish('w', 'a', 1)
      s.poll('r', [
        [0, 'a'],
        [1, 'a'],
      ])
    },
    good(s) {
      s.publish('w', 'a', 0)
      s.t += 1100
      s.publish('w', 'a', 1)
      s.poll('r', [
        [0, 'a'],
        [1, 'a'],
      ])
    },
  },
  {
    anomaly: 'G1a',
    title: 'the event of a refused call is read; that of an unknown one may be',
    bad(s) {
      const publish = s.start('w', 'publish', s.sent('a'))
      s.poll('r', [[0, 'a']])
      publish.fail('TOO_LARGE')
    },
    good(s) {
      const publish = s.start('w', 'publish', s.sent('a'))
      s.poll('r', [[0, 'a']])
      publish.info('TIMEOUT')
    },
  },
  {
    anomaly: 'G1a',
    title: 'an event of an aborted transaction is read, by a poll that failed itself',
    also: ['outcome-lie'],
    bad(s) {
      s.start('w', 'tx', { micro: [{ f: 'send', ...s.sent('a') }] }).fail('ABORTED')
      s.start('r', 'poll', { topic }).fail('ABORTED', { recs: s.records([[0, 'a']]) })
    },
    good(s) {
      s.start('w', 'tx', { micro: [{ f: 'send', ...s.sent('a') }] }).fail('ABORTED')
      s.call('w', 'tx', { micro: [{ f: 'send', ...s.sent('a') }] }, { micro: [{ p: 0, off: 0 }] })
      s.start('r', 'poll', { topic }).fail('ABORTED', { recs: s.records([[0, 'a']]) })
    },
  },
  {
    anomaly: 'outcome-lie',
    title: 'a refused event is known as a duplicate to the retry',
    bad(s) {
      s.start('w', 'publish', s.sent('a')).fail('BUSY')
      s.publish('w', 'a', 0, 0, true)
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      s.start('w', 'publish', s.sent('a')).info('TIMEOUT')
      s.publish('w', 'a', 0, 0, true)
      s.poll('r', [[0, 'a']])
    },
  },
  {
    anomaly: 'outcome-lie',
    title: 'a refused event comes to a handler',
    bad(s) {
      s.start('w', 'publish', s.sent('a')).fail('BUSY')
      s.handle(0, { id: 'a' })
    },
    good(s) {
      s.start('w', 'publish', s.sent('a')).fail('BUSY')
      s.publish('w', 'a', 0)
      s.handle(0, { id: 'a' })
    },
  },
  {
    anomaly: 'phantom',
    title: 'an event is read that nobody sent',
    bad(s) {
      s.log('a')
      s.poll('r', [
        [0, 'a'],
        [1, 'ghost'],
      ])
    },
    good(s) {
      s.log('a')
      s.start('w2', 'publish', s.sent('ghost'))
      s.poll('r', [
        [0, 'a'],
        [1, 'ghost'],
      ])
    },
  },
  {
    anomaly: 'phantom',
    title: 'a handler gets an id that nobody sent',
    bad(s) {
      s.handle(0, { id: 'ghost' })
    },
    good(s) {
      s.log('ghost')
      s.handle(0, { id: 'ghost' })
    },
  },
  ...(
    [
      ['CRC', [0, 'a', 'a', 7, 'k']],
      ['id', [0, 'z', 'a', 1, 'k']],
      ['key', [0, 'a', 'a', 1, 'other']],
    ] as const
  ).map(
    ([what, record]): Row => ({
      anomaly: 'corrupt',
      title: `an event is read with another ${what}`,
      bad(s) {
        s.call('w', 'publish', s.sent('a', 'k'), { p: 0, off: 0 })
        s.call('r', 'poll', { topic }, { recs: { 0: [record] } })
      },
      good(s) {
        s.call('w', 'publish', s.sent('a', 'k'), { p: 0, off: 0 })
        s.call('r', 'poll', { topic }, { recs: { 0: [[0, 'a', 'a', 1, 'k']] } })
      },
    }),
  ),
  {
    anomaly: 'wrong-partition',
    title: 'one key is in two partitions',
    bad(s) {
      s.call('w1', 'publish', s.sent('a', 'k'), { p: 0, off: 0 })
      s.call('w2', 'publish', s.sent('b', 'k'), { p: 1, off: 0 })
      s.poll('r', [[0, 'a']])
      s.poll('r', [[0, 'b']], 1)
    },
    good(s) {
      s.call('w1', 'publish', s.sent('a', 'k'), { p: 0, off: 0 })
      s.call('w2', 'publish', s.sent('b', 'l'), { p: 1, off: 0 })
      s.poll('r', [[0, 'a']])
      s.poll('r', [[0, 'b']], 1)
    },
  },
  {
    anomaly: 'wrong-partition',
    title: 'a key is not where the published hash puts it',
    options: { partitionOf: (_, key) => key.length - 1 },
    bad(s) {
      s.call('w', 'publish', s.sent('a', 'k'), { p: 1, off: 0 })
      s.poll('r', [[0, 'a']], 1)
    },
    good(s) {
      s.call('w', 'publish', s.sent('a', 'kk'), { p: 1, off: 0 })
      s.poll('r', [[0, 'a']], 1)
    },
  },
  {
    anomaly: 'lost-write',
    title: 'readers pass over an acknowledged event; declared retention may take it',
    bad(s) {
      s.log('a', 'b', 'c')
      s.poll('r1', [[0, 'a']])
      s.poll('r2', [[2, 'c']])
    },
    good(s) {
      s.log('a', 'b', 'c')
      s.poll('r1', [[0, 'a']])
      s.note('writer', 'retained', { topic, p: 0, earliest: 2 })
      s.poll('r2', [[2, 'c']])
    },
  },
  {
    anomaly: 'unseen',
    title: 'the tail is acknowledged and never read',
    bad(s) {
      s.log('a', 'b')
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      s.log('a', 'b')
      s.poll('r', [[0, 'a']])
      s.poll('r', [[1, 'b']])
    },
  },
  {
    anomaly: 'unseen',
    title: 'an unread tail proves nothing if there were no final reads',
    goodOptions: { drained: false },
    bad(s) {
      s.log('a', 'b')
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      s.log('a', 'b')
      s.poll('r', [[0, 'a']])
    },
  },
  {
    anomaly: 'torn-tx',
    title: 'half of an unknown transaction is there; none of it may be',
    bad(s) {
      s.start('w', 'tx', {
        micro: [
          { f: 'send', ...s.sent('a') },
          { f: 'send', ...s.sent('b') },
        ],
      }).info('TIMEOUT')
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      s.start('w', 'tx', {
        micro: [
          { f: 'send', ...s.sent('a') },
          { f: 'send', ...s.sent('b') },
        ],
      }).info('TIMEOUT')
      s.publish('w2', 'c', 0)
      s.poll('r', [[0, 'c']])
    },
  },
  {
    anomaly: 'torn-tx',
    title: 'half of an acknowledged call is there',
    also: ['unseen'],
    bad(s) {
      s.call(
        'w',
        'publishMany',
        {
          micro: [
            { f: 'send', ...s.sent('a') },
            { f: 'send', ...s.sent('b') },
          ],
        },
        {
          micro: [
            { p: 0, off: 0 },
            { p: 1, off: 0 },
          ],
        },
      )
      s.poll('r', [[0, 'a']])
    },
    good(s) {
      s.call(
        'w',
        'publishMany',
        {
          micro: [
            { f: 'send', ...s.sent('a') },
            { f: 'send', ...s.sent('b') },
          ],
        },
        {
          micro: [
            { p: 0, off: 0 },
            { p: 1, off: 0 },
          ],
        },
      )
      s.poll('r', [[0, 'a']])
      s.poll('r', [[0, 'b']], 1)
    },
  },
  {
    anomaly: 'dedup-break',
    title: 'one id is accepted with two contents',
    bad(s) {
      s.call('w', 'publish', s.sent('a', null, 'id'), { p: 0, off: 0 })
      s.call('w', 'publish', s.sent('b', null, 'id'), { p: 0, off: 1 })
      s.call(
        'r',
        'poll',
        { topic },
        {
          recs: {
            0: [
              [0, 'id', 'a'],
              [1, 'id', 'b'],
            ],
          },
        },
      )
    },
    good(s) {
      s.call('w', 'publish', s.sent('a', null, 'id'), { p: 0, off: 0 })
      s.start('w', 'publish', s.sent('b', null, 'id')).fail('ID_CONFLICT')
      s.call('r', 'poll', { topic }, { recs: { 0: [[0, 'id', 'a']] } })
    },
  },
  {
    anomaly: 'dedup-break',
    title: 'another content is swallowed as a duplicate',
    also: ['inconsistent-offset', 'lost-write'],
    bad(s) {
      s.call('w', 'publish', s.sent('a', null, 'id'), { p: 0, off: 0 })
      s.call('w', 'publish', s.sent('b', null, 'id'), { p: 0, off: 0, dup: true })
      s.call('r', 'poll', { topic }, { recs: { 0: [[0, 'id', 'a']] } })
    },
    good(s) {
      s.call('w', 'publish', s.sent('a', null, 'id'), { p: 0, off: 0 })
      s.call('w', 'publish', s.sent('a', null, 'id'), { p: 0, off: 0, dup: true })
      s.call('r', 'poll', { topic }, { recs: { 0: [[0, 'id', 'a']] } })
    },
  },
  {
    anomaly: 'dedup-break',
    title: 'the first sight of an id is answered as a duplicate',
    also: ['unseen'],
    bad(s) {
      s.publish('w', 'a', 5, 0, true)
    },
    good(s) {
      s.start('w', 'publish', s.sent('a')).info('TIMEOUT')
      s.publish('w', 'a', 5, 0, true)
      s.poll('r', [[5, 'a']])
    },
  },
  {
    anomaly: 'dedup-break',
    title: 'the retry is answered with another offset',
    also: ['duplicate', 'lost-write'],
    bad(s) {
      s.publish('w', 'a', 0)
      s.publish('w', 'b', 1)
      s.publish('w', 'a', 2, 0, true)
      s.poll('r', [[1, 'b']])
    },
    good(s) {
      s.publish('w', 'a', 0)
      s.publish('w', 'b', 1)
      s.publish('w', 'a', 0, 0, true)
      s.poll('r', [
        [0, 'a'],
        [1, 'b'],
      ])
    },
  },
]
