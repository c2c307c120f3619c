import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkCommand } from '../../src/cli/commands/check.ts'
import { runCli } from '../cli/run-cli.ts'
import { type Script, script } from './script.ts'

const topic = 'orders'

async function run(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const status = await checkCommand(args, { out: (line) => out.push(line), err: (line) => err.push(line) })
  return { status, out: out.join('\n'), err: err.join('\n') }
}

describe('semel check', () => {
  const folder = mkdtempSync(join(tmpdir(), 'semel-check-test-'))
  test.after(() => rmSync(folder, { recursive: true, force: true }))

  function file(name: string, write: (s: Script) => void): string {
    const path = join(folder, name)
    writeFileSync(
      path,
      script(write)
        .map((event) => `${JSON.stringify(event)}\n`)
        .join(''),
    )
    return path
  }

  const good = file('good.ndjson', (s) => {
    s.log('a')
    s.poll('r', [[0, 'a']])
  })
  const bad = file('bad.ndjson', (s) => s.log('a'))
  const empty = file('empty.ndjson', () => {})

  test('valid is 0, invalid 1, void 3', async () => {
    assert.equal((await run(good)).status, 0)
    const judged = await run(bad)
    assert.equal(judged.status, 1)
    assert.match(judged.out, /INVALID[\s\S]*unseen/)
    assert.equal((await run(empty)).status, 3)
    assert.equal((await run(good, '--fault', 'kill')).status, 3)
  })

  test('is a command of semel, with its own exit status', async () => {
    assert.equal((await runCli(['check', good])).status, 0)
    const { status, out } = await runCli(['check', bad])
    assert.equal(status, 1)
    assert.match(out, /INVALID/)
    assert.match((await runCli(['help', 'check'])).out, /semel check HISTORY/)
  })

  test('files of several processes are one history', async () => {
    const more = join(folder, 'more.ndjson')
    const reader = { i: 0, t: 1000, node: 'other', proc: 'r', sess: 'r', f: 'poll' }
    const lines = [
      { ...reader, type: 'invoke', v: { topic } },
      { ...reader, i: 1, type: 'ok', v: { recs: { 0: [[0, 'a', 'a']] } } },
    ]
    writeFileSync(more, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    assert.equal((await run(bad, more)).status, 0)
  })

  test('--json prints data, --html writes a page', async () => {
    const page = join(folder, 'report.html')
    const { status, out } = await run(bad, '--json', '--html', page)
    assert.equal(status, 1)
    assert.equal(JSON.parse(out).verdict, 'invalid')
    assert.ok(existsSync(page))
    assert.match(readFileSync(page, 'utf8'), /^<!doctype html>/)
  })

  test('options say what the run allows', async () => {
    assert.equal((await run(bad, '--allow', 'unseen')).status, 0)
    assert.equal((await run(bad, '--undrained')).status, 0)
    const twice = file('twice.ndjson', (s) => {
      s.log('a')
      s.handle(0)
      s.handle(0)
    })
    assert.equal((await run(twice)).status, 0)
    assert.equal((await run(twice, '--group', 'billing=at-most-once')).status, 1)
    const interleaved = file('interleaved.ndjson', (s) => {
      s.publish('w1', 'a', 1)
      s.publish('w2', 'b', 0)
      s.poll('r', [
        [0, 'b'],
        [1, 'a'],
      ])
    })
    assert.equal((await run(interleaved)).status, 1)
    assert.equal((await run(interleaved, '--engine', 'kafka')).status, 0)
  })

  test('--help is for asking', async () => {
    const { status, out } = await run('--help')
    assert.equal(status, 0)
    assert.match(out, /semel check HISTORY\.ndjson/)
  })

  const broken = join(folder, 'broken.ndjson')
  writeFileSync(broken, '{"i":0}\n')
  const wrong: readonly (readonly [string, string[], RegExp])[] = [
    ['no file', [], /needs a file/],
    ['a file that is not there', [join(folder, 'none.ndjson')], /ENOENT/],
    ['a line that is no record', [broken], /line 1: t is missing/],
    ['an unknown option', [good, '--jsn'], /jsn/],
    ['an unknown engine', [good, '--engine', 'redis'], /atomic or kafka/],
    ['an unknown guarantee', [good, '--group', 'g=twice'], /NAME=GUARANTEE/],
    ['an unknown anomaly', [good, '--allow', 'everything'], /knows no "everything"/],
  ]
  for (const [title, args, message] of wrong) {
    test(`${title} is 2`, async () => {
      const { status, out, err } = await run(...args)
      assert.deepEqual([status, out], [2, ''])
      assert.match(err, message)
    })
  }
})
