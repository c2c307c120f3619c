import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { runCli, startCli } from './run-cli.ts'
import { makeSampleFile } from './sample-file.ts'

// What a terminal would obey, or what would hide or turn text.
const dangerous = /[^\P{Cc}\n]|[\u202a-\u202e]/u

describe('semel', () => {
  let sample: Awaited<ReturnType<typeof makeSampleFile>>
  let on: string[]

  before(async () => {
    sample = await makeSampleFile()
    on = ['--file', sample.file]
  })
  after(() => sample.remove())

  test('every command has a help that names its options', async () => {
    const { out } = await runCli(['--help'])
    for (const command of ['status', 'tail', 'publish', 'groups']) {
      assert.ok(out.includes(command))
      const help = await runCli([command, '--help'])
      assert.equal(help.status, 0)
      assert.match(help.out, /--file PATH \| --url URL/)
      assert.match(help.out, /--json/)
    }
  })

  const mistakes: readonly [args: readonly string[], code: string, says: RegExp][] = [
    [[], 'INVALID_OPTION', /a command is needed/],
    [['statsu'], 'INVALID_OPTION', /did you mean semel status\?/],
    [['tail', 'orders', '--folow'], 'UNKNOWN_OPTION', /did you mean --follow\?/],
    [['status'], 'INVALID_OPTION', /--file PATH or --url URL is needed/],
    [['status', '--file', 'postgres://h/d'], 'INVALID_OPTION', /--url URL/],
    [['status', '--file', 'x', '--url', 'postgres://h/d'], 'INVALID_OPTION', /only one of/],
    [['status', '--file', 'x', '--schema', 's'], 'INVALID_OPTION', /belongs to --url/],
    [['status', '--file'], 'INVALID_OPTION', /--file needs a value/],
    [['status', '--watch=yes'], 'INVALID_OPTION', /takes no value/],
    [['status', 'extra'], 'INVALID_OPTION', /no use for "extra"/],
    [['tail', '--file', 'x'], 'INVALID_OPTION', /TOPIC is needed/],
    [['tail', 'orders', '--limit', '0'], 'INVALID_OPTION', /whole number from 1/],
    [['tail', 'orders', '--from', '3'], 'INVALID_OFFSET', /add --partition/],
    [['tail', 'orders', '--from', 'then'], 'INVALID_OPTION', /earliest, latest/],
    [['publish', 'orders', '--id', 'a'], 'INVALID_OPTION', /needs --data/],
  ]
  for (const [args, code, says] of mistakes) {
    test(`semel ${args.join(' ')}: a usage error with status 2`, async () => {
      const { status, out, err } = await runCli(args)
      assert.equal(status, 2)
      assert.equal(out, '')
      assert.ok(err.includes(code), err)
      assert.match(err, says)
    })
  }

  for (const command of [['status'], ['groups'], ['tail', 'orders'], ['publish', 'orders', '--data', '1']]) {
    test(`semel ${command[0]} never creates a file by a mistyped path`, async () => {
      const file = join(sample.folder, 'mistyped.db')
      const { status, err } = await runCli([...command, '--file', file, '--json'])
      assert.equal(status, 1)
      assert.equal(JSON.parse(err).error.code, 'NOT_FOUND')
      assert.ok(!existsSync(file))
    })
  }

  test('says what is wrong with a folder, and with a file that is no database', async () => {
    const text = join(sample.folder, 'notes.txt')
    writeFileSync(text, 'not a database, but long enough to be looked at as one'.repeat(100))
    assert.match((await runCli(['status', '--file', sample.folder])).err, /ENGINE_OPEN_FAILED .* is a folder/)
    assert.match((await runCli(['status', '--file', text])).err, /STORAGE_CORRUPT/)
  })

  test('status shows topics, groups and duplicates, and as JSON the whole snapshot', async () => {
    const { status, out } = await runCli(['status', ...on])
    assert.equal(status, 0)
    assert.match(out, /orders +2 +5 +1/)
    assert.match(out, /billing/)
    const snapshot = JSON.parse((await runCli(['status', ...on, '--json'])).out)
    assert.equal(snapshot.topics[0].topic, 'orders')
    assert.equal(snapshot.groups[0].deadLetters, 1)
    assert.equal(snapshot.engine.logId.length, 32)
  })

  test('status --watch goes on until a signal and then ends well', async () => {
    const child = startCli(['status', ...on, '--watch', '--json'])
    const exited = once(child, 'exit')
    let snapshots = 0
    for await (const line of createInterface(child.stdout)) {
      assert.ok(JSON.parse(line).at > 0)
      if (++snapshots === 2) child.kill('SIGINT')
    }
    assert.deepEqual(await exited, [0, null])
  })

  test('groups shows positions, epochs and dead letters with their reasons', async () => {
    const { out } = await runCli(['groups', ...on])
    assert.match(out, /billing +orders\/[01] +5 +5/)
    const [group] = JSON.parse((await runCli(['groups', 'billing', ...on, '--json'])).out)
    assert.equal(group.lagEvents, 0)
    const letters = await runCli(['groups', 'billing', '--dead-letters', ...on])
    assert.match(letters.out, /order-3 {2}1 attempts {2}Error: cannot bill/)
    assert.doesNotMatch(letters.out, dangerous)
    const letter = JSON.parse((await runCli(['groups', 'billing', '--dead-letters', '--json', ...on])).out)
    assert.equal(letter.data, 'bad')
  })

  test('an unknown group or topic is answered with the nearest one', async () => {
    const group = await runCli(['groups', 'biling', ...on])
    assert.equal(group.status, 1)
    assert.match(group.err, /NOT_FOUND[\s\S]*did you mean billing\?/)
    const topic = await runCli(['tail', 'order', ...on])
    assert.match(topic.err, /UNKNOWN_TOPIC[\s\S]*did you mean orders\?/)
  })

  test('tail prints one harmless line per event, whatever the data holds', async () => {
    const { out, status } = await runCli(['tail', 'orders', ...on])
    assert.equal(status, 0)
    assert.equal(out.trimEnd().split('\n').length, 5)
    assert.doesNotMatch(out, dangerous)
  })

  test('tail --json prints CloudEvents that parse back to what was published', async () => {
    const { out } = await runCli(['tail', 'orders', ...on, '--json'])
    assert.doesNotMatch(out, dangerous)
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      events.map(({ specversion, id, offset, topic }) => [specversion, id, offset, topic]),
      [0, 1, 2, 3, 4].map((n) => ['1.0', `order-${n}`, n, 'orders']),
    )
    assert.deepEqual(events[1].data, { n: 2 })
    assert.equal(events[2].data.text, '\u001b]0;owned\u0007\u202egnp.exe')
    assert.equal(events[0].partitionkey, 'k')
  })

  test('tail begins where it is told and stops at the limit', async () => {
    const { partition } = JSON.parse((await runCli(['tail', 'orders', ...on, '--json', '--limit', '1'])).out)
    const at = ['--partition', String(partition), '--json', '--limit', '1']
    const some = await runCli(['tail', 'orders', ...on, ...at, '--from', '3'])
    assert.equal(JSON.parse(some.out).id, 'order-3')
    const later = await runCli(['tail', 'orders', ...on, ...at, '--from', '2200-01-01'])
    assert.equal(later.out, '')
    const beyond = await runCli(['tail', 'orders', ...on, ...at, '--from', '99'])
    assert.equal(beyond.status, 1)
    assert.deepEqual(pick(JSON.parse(beyond.err).error), { code: 'OFFSET_OUT_OF_RANGE', earliest: 0, end: 5 })
  })

  test('a reader that closes the pipe ends tail quietly', async () => {
    const child = startCli(['tail', 'orders', ...on, '--follow'])
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    child.stdout.destroy()
    await runCli(['publish', 'orders', ...on, '--data', '"more"', '--key', 'other'])
    assert.deepEqual(await exited, [0, null])
  })

  test('publish answers with a receipt, and a second time with the first offset', async () => {
    const args = ['publish', 'orders', ...on, '--json', '--data', '{"total":12}', '--id', 'x-1', '--key', 'a']
    const first = JSON.parse((await runCli(args)).out)
    const second = JSON.parse((await runCli(args)).out)
    assert.deepEqual(second, { ...first, duplicate: true })
    const conflict = await runCli(args.map((arg) => (arg === '{"total":12}' ? '{"total":13}' : arg)))
    assert.equal(conflict.status, 1)
    assert.equal(JSON.parse(conflict.err).error.code, 'ID_CONFLICT')
  })

  test('publish reads events from standard input, each line one event in order', async () => {
    const lines = Array.from({ length: 3000 }, (_, n) => JSON.stringify({ n })).join('\n')
    const { out, status } = await runCli(['publish', 'orders', ...on, '--json', '--key', 'many'], lines)
    assert.equal(status, 0)
    const receipts = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(receipts.length, 3000)
    assert.ok(receipts.every(({ offset }, i) => offset === receipts[0].offset + i))
  })

  test('publish stops at the line that is not JSON and names it', async () => {
    const { out, err, status } = await runCli(['publish', 'orders', ...on], '1\n2\nthree\n4\n')
    assert.equal(status, 1)
    assert.match(err, /INVALID_DATA line 3 is not JSON/)
    assert.ok(out.trimEnd().split('\n').length >= 2)
  })

  test('publish does not create a topic by a typing mistake', async () => {
    const { status, err } = await runCli(['publish', 'ordesr', ...on, '--data', '1'])
    assert.equal(status, 1)
    assert.match(err, /UNKNOWN_TOPIC/)
  })
})

function pick({ code, earliest, end }: Record<string, unknown>): Record<string, unknown> {
  return { code, earliest, end }
}
