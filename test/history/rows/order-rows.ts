import type { Script } from '../script.ts'
import type { Row } from './row.ts'

const topic = 'orders'

/** Two transactions that each write to both partitions, under way at once. */
function twoTransactions(
  s: Script,
  first: readonly [number, number],
  second: readonly [number, number],
): void {
  const start = (who: string, a: string, b: string) =>
    s.start(who, 'tx', {
      micro: [
        { f: 'send', ...s.sent(a) },
        { f: 'send', ...s.sent(b) },
      ],
    })
  const t1 = start('w1', 'a1', 'b1')
  const t2 = start('w2', 'a2', 'b2')
  t1.ok({
    micro: [
      { p: 0, off: first[0] },
      { p: 1, off: first[1] },
    ],
  })
  t2.ok({
    micro: [
      { p: 0, off: second[0] },
      { p: 1, off: second[1] },
    ],
  })
  s.poll(
    'r',
    first[0] < second[0]
      ? [
          [0, 'a1'],
          [1, 'a2'],
        ]
      : [
          [0, 'a2'],
          [1, 'a1'],
        ],
  )
  s.poll(
    'r',
    first[1] < second[1]
      ? [
          [0, 'b1'],
          [1, 'b2'],
        ]
      : [
          [0, 'b2'],
          [1, 'b1'],
        ],
    1,
  )
}

/** Two calls of one call's length apart. */
function readThenSend(s: Script, sender: string, off: number): void {
  const slow = s.start('w', 'publish', s.sent('a'))
  s.poll('r', [[1, 'a']])
  s.publish(sender, 'b', off)
  slow.ok({ p: 0, off: 1 })
  s.poll(
    'final',
    off === 0
      ? [
          [0, 'b'],
          [1, 'a'],
        ]
      : [
          [1, 'a'],
          [2, 'b'],
        ],
  )
}

/** Each transaction reads the other's write, or only one does. */
function readEachOther(s: Script, second: boolean): void {
  const micro = (val: string) => [
    { f: 'send' as const, ...s.sent(val) },
    { f: 'poll' as const, topic },
  ]
  const t1 = s.start('w1', 'tx', { micro: micro('a') })
  const t2 = s.start('w2', 'tx', { micro: micro('b') })
  t1.ok({ micro: [{ p: 0, off: 0 }, { recs: s.records([[0, 'b']], 1) }] })
  t2.ok({ micro: [{ p: 1, off: 0 }, { recs: second ? s.records([[0, 'a']]) : {} }] })
  s.poll('r', [[0, 'a']])
}

export const orderRows: readonly Row[] = [
  {
    anomaly: 'poll-skip',
    title: 'a session goes on beyond an event; after a new assignment it may',
    bad(s) {
      s.log('a', 'b', 'c')
      s.poll('r', [[0, 'a']])
      s.poll('r', [[2, 'c']])
      s.poll('other', [[1, 'b']])
    },
    good(s) {
      s.log('a', 'b', 'c')
      s.poll('r', [[0, 'a']])
      s.note('r', 'assign', { topic, p: 0 })
      s.poll('r', [[2, 'c']])
      s.poll('other', [[1, 'b']])
    },
  },
  {
    anomaly: 'poll-skip',
    title: 'only the assignment of that partition excuses a jump',
    bad(s) {
      s.log('a', 'b', 'c')
      s.poll('r', [[0, 'a']])
      s.note('r', 'assign', { topic, p: 1 })
      s.poll('r', [[2, 'c']])
      s.poll('other', [[1, 'b']])
    },
    good(s) {
      s.log('a', 'b', 'c')
      s.poll('r', [[0, 'a']])
      s.note('r', 'revoke', { topic, p: 0 })
      s.poll('r', [[2, 'c']])
      s.poll('other', [[1, 'b']])
    },
  },
  {
    anomaly: 'int-poll-skip',
    title: 'one read leaves an event out; an offset where nothing is, it may',
    bad(s) {
      s.log('a', 'b', 'c')
      s.poll('r', [
        [0, 'a'],
        [2, 'c'],
      ])
      s.poll('other', [[1, 'b']])
    },
    good(s) {
      s.publish('w', 'a', 0)
      s.publish('w', 'c', 2)
      s.poll('r', [
        [0, 'a'],
        [2, 'c'],
      ])
    },
  },
  {
    anomaly: 'nonmonotonic-poll',
    title: 'a session gets an event again; after a seek it may',
    bad(s) {
      s.log('a', 'b')
      s.poll('r', [
        [0, 'a'],
        [1, 'b'],
      ])
      s.poll('r', [[1, 'b']])
    },
    good(s) {
      s.log('a', 'b')
      s.poll('r', [
        [0, 'a'],
        [1, 'b'],
      ])
      s.note('r', 'seek', { topic, p: 0 })
      s.poll('r', [[1, 'b']])
    },
  },
  {
    anomaly: 'int-nonmonotonic-poll',
    title: 'one read is out of order; two sessions may be',
    bad(s) {
      s.log('a', 'b')
      s.poll('r', [
        [1, 'b'],
        [0, 'a'],
      ])
    },
    good(s) {
      s.log('a', 'b')
      s.poll('r1', [[1, 'b']])
      s.poll('r2', [[0, 'a']])
    },
  },
  {
    anomaly: 'nonmonotonic-send',
    title: 'calls under way at once land out of order; a duplicate is answered with its old place',
    bad(s) {
      const a = s.start('w', 'publish', s.sent('a'))
      const b = s.start('w', 'publish', s.sent('b'))
      a.ok({ p: 0, off: 1 })
      b.ok({ p: 0, off: 0 })
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
    good(s) {
      const b = s.start('w', 'publish', s.sent('b'))
      const a = s.start('w', 'publish', s.sent('a'))
      const again = s.start('w', 'publish', s.sent('b'))
      a.ok({ p: 0, off: 1 })
      b.ok({ p: 0, off: 0 })
      again.ok({ p: 0, off: 0, dup: true })
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
  },
  {
    anomaly: 'nonmonotonic-send',
    title: 'order "none" allows it',
    goodOptions: { order: 'none' },
    bad(s) {
      const a = s.start('w', 'publish', s.sent('a'))
      const b = s.start('w', 'publish', s.sent('b'))
      b.ok({ p: 0, off: 0 })
      a.ok({ p: 0, off: 1 })
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
    good(s) {
      const a = s.start('w', 'publish', s.sent('a'))
      const b = s.start('w', 'publish', s.sent('b'))
      b.ok({ p: 0, off: 0 })
      a.ok({ p: 0, off: 1 })
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
  },
  {
    anomaly: 'int-nonmonotonic-send',
    title: 'events of one call are not in its order',
    bad(s) {
      const micro = [
        { f: 'send' as const, ...s.sent('a') },
        { f: 'send' as const, ...s.sent('b') },
      ]
      s.call(
        'w',
        'publishMany',
        { micro },
        {
          micro: [
            { p: 0, off: 1 },
            { p: 0, off: 0 },
          ],
        },
      )
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
    good(s) {
      const micro = [
        { f: 'send' as const, ...s.sent('a') },
        { f: 'send' as const, ...s.sent('b') },
      ]
      s.call(
        'w',
        'publishMany',
        { micro },
        {
          micro: [
            { p: 0, off: 1 },
            { p: 1, off: 0 },
          ],
        },
      )
      s.poll('r', [[1, 'a']])
      s.poll('r', [[0, 'b']], 1)
    },
  },
  {
    anomaly: 'int-send-skip',
    title: 'a foreign event lies inside a batch; on Kafka that is normal',
    also: ['G0'],
    goodOptions: { atomicVisibility: false },
    ...(() => {
      const history = (s: Script) => {
        const micro = [
          { f: 'send' as const, ...s.sent('a') },
          { f: 'send' as const, ...s.sent('b') },
        ]
        const batch = s.start('w1', 'tx', { micro })
        s.publish('w2', 'x', 1)
        batch.ok({
          micro: [
            { p: 0, off: 0 },
            { p: 0, off: 2 },
          ],
        })
        s.poll('r', [
          [0, 'a'],
          [1, 'x'],
          [2, 'b'],
        ])
      }
      return { bad: history, good: history }
    })(),
  },
  {
    anomaly: 'precommitted-read',
    title: 'a transaction reads its own event',
    bad(s) {
      const micro = [
        { f: 'send' as const, ...s.sent('a') },
        { f: 'poll' as const, topic },
      ]
      s.call('w', 'tx', { micro }, { micro: [{ p: 0, off: 0 }, { recs: s.records([[0, 'a']]) }] })
    },
    good(s) {
      s.log('x')
      const micro = [
        { f: 'send' as const, ...s.sent('a') },
        { f: 'poll' as const, topic },
      ]
      s.call('w', 'tx', { micro }, { micro: [{ p: 0, off: 1 }, { recs: s.records([[0, 'x']]) }] })
      s.poll('r', [[1, 'a']])
    },
  },
  {
    anomaly: 'G0',
    title: 'two transactions overwrite each other in opposite order',
    bad: (s) => twoTransactions(s, [0, 1], [1, 0]),
    good: (s) => twoTransactions(s, [0, 0], [1, 1]),
  },
  {
    anomaly: 'G0',
    title: 'on Kafka writes of transactions interleave',
    goodOptions: { atomicVisibility: false },
    bad: (s) => twoTransactions(s, [1, 0], [0, 1]),
    good: (s) => twoTransactions(s, [1, 0], [0, 1]),
  },
  {
    anomaly: 'G0-process',
    title: "a process's later send comes first, in a new session",
    bad(s) {
      s.publish('w', 'a', 1)
      s.client('w').newSession()
      s.publish('w', 'b', 0)
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
    good(s) {
      s.publish('w', 'a', 1)
      s.client('w').newSession()
      s.publish('w', 'b', 2)
      s.poll('r', [
        [1, 'a'],
        [2, 'b'],
      ])
    },
  },
  {
    anomaly: 'G0-realtime',
    title: 'what was sent after an acknowledgement comes before; what overlaps may',
    bad(s) {
      s.publish('w1', 'a', 1)
      s.publish('w2', 'b', 0)
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
    good(s) {
      const b = s.start('w2', 'publish', s.sent('b'))
      s.publish('w1', 'a', 1)
      b.ok({ p: 0, off: 0 })
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    },
  },
  {
    anomaly: 'G1c',
    title: 'two transactions read each other',
    bad: (s) => {
      readEachOther(s, true)
    },
    good: (s) => {
      readEachOther(s, false)
    },
  },
  {
    anomaly: 'G1c',
    title: 'two transactions read each other, and no write circle excuses it on Kafka',
    options: { atomicVisibility: false },
    bad: (s) => {
      readEachOther(s, true)
    },
    good: (s) => {
      readEachOther(s, false)
    },
  },
  {
    anomaly: 'G1c-process',
    title: 'a process sends after it read an event, and comes before it',
    bad: (s) => readThenSend(s, 'r', 0),
    good: (s) => readThenSend(s, 'r', 2),
  },
  {
    anomaly: 'G1c-realtime',
    title: 'an event is sent after another was read elsewhere, and comes before it',
    bad: (s) => readThenSend(s, 'w2', 0),
    good: (s) => readThenSend(s, 'w2', 2),
  },
]
