import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type CheckOptions,
  campaignGates,
  checkHistory,
  type HistoryReport,
  reportJson,
  reportPage,
  reportText,
} from '../../src/testing/history/index.ts'
import { type Script, script } from './script.ts'

const topic = 'orders'

function judge(write: (s: Script) => void, options?: CheckOptions): HistoryReport {
  return checkHistory(script(write), options)
}

/** A good run in which a bit of everything happened. */
function busy(s: Script): void {
  const task = { g: 'billing', topic, p: 0 }
  s.call('w1', 'acquire', task, { epoch: 1 })
  s.note('nemesis', 'fault', { name: 'kill', state: 'on' })
  s.start('writer', 'publish', s.sent('a')).info('TIMEOUT')
  s.publish('writer', 'a', 0, 0, true)
  s.start('w1', 'handle', s.step(0, { epoch: 1 })).info('KILLED')
  s.call('w2', 'acquire', task, { epoch: 2 })
  s.handle(0, { epoch: 2 }, 'w2')
  s.start('w1', 'commit', s.step(1, { epoch: 1 })).fail('FENCED')
  s.commit(1, { epoch: 2 }, 'w2')
  s.start('engine', 'recovered', { topic, p: 0 }).ok({ end: 1, logId: 'log', torn: 17 })
  s.note('nemesis', 'fault', { name: 'kill', state: 'off' })
  s.poll('r', [[0, 'a']])
}

describe('validity gates', () => {
  const gates = campaignGates({ publish: 1, poll: 1 }, ['kill'])

  test('a run that saw everything it was meant to is valid', () => {
    assert.deepEqual(judge(busy, { gates }).reasons, [])
  })

  test('a run in which nothing succeeded is void', () => {
    assert.equal(judge(() => {}).verdict, 'void')
    const failed = (s: Script) => s.start('w', 'publish', s.sent('a')).fail('BUSY')
    assert.match(judge(failed).reasons.join(), /no operation succeeded/)
  })

  test('a run whose faults missed is void', () => {
    const missed = (s: Script) => {
      s.note('nemesis', 'fault', { name: 'kill', state: 'on' })
      s.note('nemesis', 'fault', { name: 'kill', state: 'off' })
      s.log('a')
      s.poll('r', [[0, 'a']])
    }
    const report = judge(missed)
    assert.equal(report.verdict, 'void')
    assert.match(report.reasons.join(), /fault kill hit operations under way 0 times/)
  })

  test('a planned fault that never came makes a run void', () => {
    const report = judge(busy, { gates: { plannedFaults: { power: 1, kill: 1 } } })
    assert.equal(report.verdict, 'void')
    assert.match(report.reasons.join(), /fault power/)
    assert.match(judge(busy, { gates: { plannedFaults: { kill: 2 } } }).reasons.join(), /once, planned .* 2/)
  })

  const poor: readonly (readonly [string, CheckOptions['gates'], RegExp])[] = [
    ['too few operations', { minOk: { scan: 1 } }, /0 ok scan/],
    ['too few unknown', { unknownShare: { min: 0.5, max: 0.6 } }, /unknown, not 50/],
    ['too many unknown', { unknownShare: { min: 0, max: 0.1 } }, /unknown, not 0/],
    ...(
      [
        'takeovers',
        'redeliveries',
        'suppressedDuplicates',
        'recoveries',
        'tornTailsCut',
        'fencedCommits',
      ] as const
    ).map(
      (name) =>
        [`too few ${name}`, { occurred: { [name]: 2 } }, new RegExp(`${name}: 1, at least 2`)] as const,
    ),
  ]
  for (const [title, gate, message] of poor) {
    test(`${title} make a run void`, () => {
      const report = judge(busy, { gates: gate })
      assert.equal(report.verdict, 'void')
      assert.match(report.reasons.join(), message)
    })
  }

  test('a breach of the recording rules makes a run void', () => {
    const reused = script((s) => {
      s.start('w', 'publish', s.sent('a')).info('TIMEOUT')
      s.publish('w', 'b', 0)
      s.poll('r', [[0, 'b']])
    }).map((event) => ({ ...event, proc: event.proc.replace('.1', '.0') }))
    assert.match(checkHistory(reused).reasons.join(), /used again after an unknown outcome/)
    const twice = (s: Script) => {
      s.call('w', 'publish', s.sent('a', 'k'), { p: 0, off: 0 })
      s.call('w', 'publish', s.sent('a', 'l'), { p: 0, off: 0, dup: true })
      s.poll('r', [[0, 'a']])
    }
    assert.match(judge(twice).reasons.join(), /values must be unique/)
    const short = (s: Script) => {
      s.log('x')
      s.poll('r', [[0, 'x']])
      s.call('w', 'tx', { micro: [{ f: 'send', ...s.sent('a') }] }, { micro: [] })
    }
    assert.match(judge(short).reasons.join(), /answers 0 of 1/)
  })

  test('a fault found outweighs a void run, and both are told', () => {
    const report = judge((s) => s.log('a'), { gates: { minOk: { poll: 1 } } })
    assert.equal(report.verdict, 'invalid')
    assert.match(report.reasons.join(), /unseen.*void: 0 ok poll/)
  })
})

describe('options', () => {
  test('an allowed anomaly is told and no fault', () => {
    const report = judge((s) => s.log('a'), { allow: ['unseen'] })
    assert.equal(report.verdict, 'valid')
    assert.deepEqual(
      report.anomalies.map(({ name, permitted }) => [name, permitted]),
      [['unseen', 'allowed for this run']],
    )
  })

  test('without promises about ids, two places are no fault after two attempts', () => {
    const retried = (s: Script) => {
      s.publish('w', 'a', 0)
      s.publish('w', 'a', 1)
      s.poll('r', [
        [0, 'a'],
        [1, 'a'],
      ])
    }
    assert.equal(judge(retried, { dedup: 'none' }).verdict, 'valid')
    assert.equal(judge(retried).verdict, 'invalid')
  })

  test('a group that began later answers for what came after', () => {
    const late = (s: Script) => {
      s.log('a', 'b', 'c')
      s.handle(1)
      s.handle(2)
      s.commit(3)
      s.poll('r', [[0, 'a']])
    }
    assert.equal(judge(late).verdict, 'invalid')
    assert.equal(judge(late, { groups: { billing: { from: 'first-handled' } } }).verdict, 'valid')
  })

  test('witnesses are counted, and only the smallest kept', () => {
    const many = (s: Script) => s.log(...Array.from({ length: 40 }, (_, n) => `v${n}`))
    const [anomaly] = judge(many).anomalies
    assert.equal(anomaly!.count, 40)
    assert.equal(anomaly!.witnesses.length, 8)
    assert.deepEqual(anomaly!.witnesses[0]!.offsets, [0])
    assert.throws(() => judge(many, { witnessesMax: 100 }), RangeError)
  })
})

describe('reports', () => {
  const hostile = '</text><script>alert(1)</script>"\' onload=\u202e\u001b[2J\u009b\ud800'
  const bad = (s: Script) => {
    const sent = (val: string, key: string) => ({ topic: `t${hostile}`, key, id: null, val })
    s.note('nemesis', 'fault', { name: `kill${hostile}`, state: 'on' })
    for (const [off, val] of ['a', hostile, 'c', 'd', 'e', 'f', 'g'].entries())
      s.call('w', 'publish', sent(val, hostile), { p: 0, off })
    s.call('r', 'poll', { topic: `t${hostile}` }, { recs: { 0: [[6, null, 'g']] } })
    s.note('nemesis', 'fault', { name: `kill${hostile}`, state: 'off' })
  }
  const report = judge(bad)
  const lost = report.anomalies.find(({ name }) => name === 'lost-write')!

  test('a witness shows three offsets to each side, and the faults around it', () => {
    const witness = lost.witnesses[4]!
    assert.deepEqual(witness.offsets, [4])
    assert.deepEqual(
      witness.context.map(({ off, marked }) => (marked ? [off] : off)),
      [1, 2, 3, [4], 5, 6],
    )
    assert.equal(witness.faults.length, 1)
  })

  test('a bad partition has a timeline of what happened to the offsets', () => {
    const [timeline] = report.timelines
    assert.deepEqual(
      timeline!.points.map(({ off, kind }) => `${kind} ${off}`),
      ['sent 0', 'sent 1', 'sent 2', 'sent 3', 'sent 4', 'sent 5', 'sent 6', 'read 6'],
    )
    const once = checkHistory(script(bad)[Symbol.iterator]() as Iterable<never>)
    assert.deepEqual(once.timelines, [], 'an iterator cannot be read again')
  })

  test('text from strangers is shown and not obeyed', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    const dangerous = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]|\ud800/
    const page = reportPage(report)
    for (const text of [reportText(report), reportJson(report), page]) assert.doesNotMatch(text, dangerous)
    assert.doesNotMatch(page, /<script|"\s*onload|<\/text><script/i)
    assert.match(page, /&lt;script&gt;alert/)
    assert.equal(JSON.parse(reportJson(report)).verdict, 'invalid')
  })

  test('the page needs nothing else, and its drawings are whole', () => {
    const page = reportPage(report)
    assert.match(page, /default-src 'none'/)
    assert.doesNotMatch(page, /\b(src|href|url)\s*[=(]/)
    assert.ok(page.split('<svg').length - 1 >= 5, 'a timeline and four charts')
    assert.doesNotMatch(page, /NaN|Infinity|undefined/)
    assert.equal(page.split('<rect').length > 4, true, 'bars where the fault was on')
    assert.doesNotMatch(reportPage(judge(() => {})), /NaN|Infinity|undefined/)
  })

  test('text names the anomaly, its clause and the lines to look at', () => {
    const text = reportText(report)
    assert.match(text, /^INVALID: 8 operations/)
    assert.match(text, /lost-write × 6 \(D1 D5\)/)
    assert.match(text, /ok publish of node-1\/w\.0 \(node-1, i \d+\)/)
    assert.match(text, /> +4 {2}"e"/)
  })

  test('the series counts every operation, however long the run', () => {
    const long = judge((s) => {
      for (let n = 0; n < 500; n++) {
        s.publish('w', `v${n}`, n)
        s.poll('r', [[n, `v${n}`]])
      }
    })
    const sum = long.series.values.ok.reduce((total, count) => total + count, 0)
    assert.equal(sum, 1000)
    assert.ok(long.series.values.ok.length <= 256)
    assert.equal(Math.max(...long.series.values.unseen), 1)
  })

  test('lag is at least what was known when a poll was sent', () => {
    const behind = judge((s) => {
      s.log('a', 'b', 'c')
      s.poll('r', [[0, 'a']])
      s.poll('r', [
        [1, 'b'],
        [2, 'c'],
      ])
    })
    assert.equal(behind.lagMax, 2)
  })
})
