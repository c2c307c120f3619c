import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  checkHistory,
  type HistoryEvent,
  HistoryFormatError,
  HistoryRecorder,
  mergeHistories,
  parseHistoryLine,
} from '../../src/testing/history/index.ts'
import { hostClock, RealHistoryFile, StoredHistory } from '../../src/testing/real-history-file.ts'
import { script } from './script.ts'

const task = { g: 'g', topic: 't', p: 0 }

function recorder(t = { now: 0 }, node = 'n1') {
  const lines: string[] = []
  const file = { append: (line: string) => void lines.push(line) }
  const recorder = new HistoryRecorder({ node, clock: { monotonic: () => t.now }, file })
  const events = () => lines.map((line, index) => parseHistoryLine(line, index + 1))
  return { recorder, lines, events }
}

describe('the recorder', () => {
  test('writes a line before the call is made and one after it settled', async () => {
    const { recorder: r, lines, events } = recorder()
    const seen: number[] = []
    const call = { topic: 't', key: null, id: 'a', val: 'a' }
    const work = async () => {
      seen.push(lines.length)
      return { p: 0, off: 7 }
    }
    await r.client('c').run('publish', call, work, () => false)
    assert.deepEqual(seen, [1])
    assert.deepEqual(
      events().map(({ i, type, v }) => ({ i, type, v })),
      [
        { i: 0, type: 'invoke', v: call },
        { i: 1, type: 'ok', v: { p: 0, off: 7 } },
      ],
    )
    assert.ok(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1))
  })

  test('calls an error a failure only if nothing happened for certain, and keeps no message', async () => {
    const { recorder: r, lines, events } = recorder()
    const secret = Object.assign(new Error('postgres://user:secret@host'), { code: 'BUSY' })
    const call = { topic: 't', key: null, id: 'a', val: 'a' }
    const run = (notApplied: boolean) =>
      r.client().run(
        'publish',
        call,
        () => Promise.reject(secret),
        () => notApplied,
      )
    await assert.rejects(run(true), secret)
    await assert.rejects(run(false), secret)
    assert.deepEqual(
      events().flatMap(({ type, err }) => (type === 'invoke' ? [] : [[type, err]])),
      [
        ['fail', 'BUSY'],
        ['info', 'BUSY'],
      ],
    )
    assert.ok(!lines.join('').includes('secret'))
  })

  test('goes on under a new process name after an unknown outcome, in the same session', () => {
    const { recorder: r } = recorder()
    const client = r.client('c')
    const { proc, sess } = client
    client.start('commit', { ...task, off: 1 }).info('TIMEOUT')
    assert.notEqual(client.proc, proc)
    assert.equal(client.sess, sess)
    client.newSession()
    assert.notEqual(client.sess, sess)
  })

  test('does not let an operation settle twice', () => {
    const operation = recorder()
      .recorder.client()
      .start('commit', { ...task, off: 1 })
    operation.ok()
    assert.throws(() => operation.info('late'), /settled twice/)
  })

  test('never lets time step back', () => {
    const t = { now: 5 }
    const { recorder: r, events } = recorder(t)
    r.client().note('phase', { name: 'heal' })
    t.now = 3
    r.client().note('phase', { name: 'final' })
    assert.deepEqual(
      events().map((event) => event.t),
      [5, 5],
    )
  })
})

describe('merging', () => {
  test('goes by time, keeps the order of each recorder, and can be repeated', () => {
    const t = { now: 1 }
    const [a, b] = [recorder(t, 'a'), recorder(t, 'b')]
    const [first, second] = [a.recorder.client(), b.recorder.client()]
    const open = first.start('commit', { ...task, off: 1 })
    t.now = 2
    const other = second.start('commit', { ...task, off: 1 })
    t.now = 3
    other.ok()
    open.ok()
    const merged = mergeHistories([a.events(), b.events()])
    const order = () => [...merged].map(({ node, type }) => `${node} ${type}`)
    assert.deepEqual(order(), ['a invoke', 'b invoke', 'a ok', 'b ok'])
    assert.deepEqual(order(), order())
  })

  test('takes what happens at one moment as concurrent: an invoke goes before an answer', () => {
    const t = { now: 1 }
    const [a, b] = [recorder(t, 'a'), recorder(t, 'b')]
    const open = a.recorder.client().start('commit', { ...task, off: 1 })
    t.now = 2
    open.ok()
    b.recorder.client().start('commit', { ...task, off: 1 })
    const order = [...mergeHistories([a.events(), b.events()])].map(({ node, type }) => `${node} ${type}`)
    assert.deepEqual(order, ['a invoke', 'b invoke', 'a ok'])
  })
})

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'semel-history-test-'))
  test.after(() => rmSync(folder, { recursive: true, force: true }))

  test('hold what was recorded, and a last line that was cut off is left out', () => {
    const path = join(folder, 'history.ndjson')
    {
      using file = new RealHistoryFile(path)
      const client = new HistoryRecorder({ node: 'ñ', clock: hostClock, file }).client('€'.repeat(100))
      for (let n = 0; n < 30_000; n++) client.note('phase', { name: 'heal' })
    }
    writeFileSync(path, '{"i":30000,"t":1,"no', { flag: 'a' })
    const history = new StoredHistory(path)
    assert.equal([...history].length, 30_000)
    assert.equal([...history].at(-1)!.i, 29_999)
    assert.ok(readFileSync(path).length > 1 << 20, 'more than one read')
  })

  test('with a broken line in the middle say which', () => {
    const path = join(folder, 'broken.ndjson')
    const [line] = script((s) => s.note('x', 'phase', { name: 'heal' })).map((event) => JSON.stringify(event))
    writeFileSync(path, `${line}\n{"i":\n${line}\n`)
    assert.throws(() => [...new StoredHistory(path)], new HistoryFormatError(2, 'not JSON'))
  })
})

describe('the parser', () => {
  const good = { i: 0, t: 1, node: 'n', proc: 'p', sess: 's' }
  const publish = { topic: 't', key: null, id: 'a', val: 'a' }
  const wrong: readonly (readonly [object, RegExp])[] = [
    [[], /line 3: the line is \[\], not an object/],
    [{ ...good, i: -1, type: 'ok', f: 'commit' }, /line 3: i is -1/],
    [{ ...good, t: '1', type: 'ok', f: 'commit' }, /line 3: t is "1"/],
    [{ ...good, type: 'done', f: 'commit' }, /type is "done"/],
    [{ ...good, type: 'ok', f: 'toString' }, /f is "toString"/],
    [{ ...good, type: 'ok', f: 'fault', v: { name: 'x', state: 'on' } }, /fault is a note/],
    [{ ...good, type: 'invoke', f: 'publish' }, /v is missing/],
    [{ ...good, type: 'invoke', f: 'publish', v: { ...publish, key: 5 } }, /v\.key is 5/],
    [
      { ...good, type: 'invoke', f: 'tx', v: { micro: [{ f: 'send', ...publish, val: 1 }] } },
      /v\.micro\[0\]\.val is 1/,
    ],
    [{ ...good, type: 'invoke', f: 'tx', v: { micro: [{ f: 'peek' }] } }, /v\.micro\[0\]\.f is "peek"/],
    [
      { ...good, type: 'invoke', f: 'tx', v: { micro: [], commit: { g: 'g' } } },
      /v\.commit\.topic is missing/,
    ],
    [{ ...good, type: 'ok', f: 'publish' }, /says where it is/],
    [{ ...good, type: 'ok', f: 'publish', v: { p: 0, off: 1.5 } }, /v\.off is 1\.5/],
    [{ ...good, type: 'fail', f: 'tx', v: {} }, /v\.micro is missing/],
    [{ ...good, type: 'ok', f: 'tx', v: { micro: [{ p: 0 }] } }, /v\.micro\[0\]\.off is missing/],
    [{ ...good, type: 'ok', f: 'poll', v: {} }, /v\.recs is missing/],
    [{ ...good, type: 'ok', f: 'poll', v: { recs: { x: [] } } }, /v\.recs\.x is no partition/],
    [{ ...good, type: 'ok', f: 'poll', v: { recs: { 0: [[0, 'a']] } } }, /v\.recs\.0 holds \[0,"a"\]/],
    [{ ...good, type: 'info', f: 'fault', v: { name: 'x', state: 'up' } }, /v\.state is "up"/],
    [{ ...good, type: 'ok', f: 'commit', v: { off: 'x' } }, /v\.off is "x"/],
  ]
  for (const [line, message] of wrong)
    test(`says what is wrong: ${message.source}`, () => {
      assert.throws(() => parseHistoryLine(JSON.stringify(line), 3), { name: 'HistoryFormatError', message })
    })

  test('cuts what it quotes', () => {
    const line = JSON.stringify({ ...good, type: 'x'.repeat(10_000), f: 'commit' })
    assert.throws(
      () => parseHistoryLine(line, 1),
      (error: Error) => error.message.length < 200,
    )
  })
})

describe('pairing', () => {
  const line = (rest: object) =>
    parseHistoryLine(JSON.stringify({ t: 1, node: 'n', proc: 'p', sess: 's', ...rest }), 1)
  const call = { topic: 't', key: null, id: 'a', val: 'a' }
  const judge = (...events: HistoryEvent[]) => checkHistory(events)

  test('works without line numbers, as one process does one thing at a time', () => {
    const report = judge(
      line({ i: 0, type: 'invoke', f: 'publish', v: call }),
      line({ i: 1, type: 'ok', f: 'publish', v: { p: 0, off: 0 } }),
      line({ i: 2, type: 'invoke', f: 'poll', v: { topic: 't' } }),
      line({ i: 3, type: 'ok', f: 'poll', v: { recs: { 0: [[0, 'a', 'a']] } } }),
    )
    assert.equal(report.verdict, 'valid', report.reasons.join())
    assert.equal(report.operations, 2)
  })

  test('an answer to nothing is a malformed history', () => {
    const events = [line({ i: 0, type: 'ok', f: 'publish', v: { p: 0, off: 0 } })]
    assert.throws(() => judge(...events), /ok publish of p settles nothing/)
    assert.throws(() => judge(line({ i: 0, of: 9, type: 'ok', f: 'effect' })), /settles nothing/)
  })

  test('an answer of another kind is a malformed history', () => {
    const invoke = line({ i: 0, type: 'invoke', f: 'publish', v: call })
    assert.throws(() => judge(invoke, line({ i: 1, of: 0, type: 'ok', f: 'commit' })), /which is a publish/)
  })

  test('two lines with one number are a malformed history', () => {
    const invoke = line({ i: 0, type: 'invoke', f: 'publish', v: call })
    assert.throws(() => judge(invoke, invoke), /numbers two lines 0/)
  })
})
