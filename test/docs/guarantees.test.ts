import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { EngineFacts } from '../../src/engine/facts.ts'
import { kafkaFacts } from '../../src/engines/kafka/facts.ts'
import { memoryFacts } from '../../src/engines/memory/facts.ts'
import { memory } from '../../src/engines/memory/index.ts'
import { postgresFacts } from '../../src/engines/postgres/facts.ts'
import { sqliteFacts } from '../../src/engines/sqlite/facts.ts'
import type { GuaranteeSetting } from '../../src/features/guarantees/clause.ts'
import { clauseSections, guaranteeCard } from '../../src/features/guarantees/guarantee-card.ts'
import { openBus, topic } from '../../src/index.ts'
import { runCli } from '../cli/run-cli.ts'
import { makeSampleFile } from '../cli/sample-file.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const clauses = clauseSections.flatMap((section) => section.clauses)
const engines: readonly EngineFacts[] = [memoryFacts, sqliteFacts, postgresFacts, kafkaFacts]

function setting(given: Partial<GuaranteeSetting> = {}): GuaranteeSetting {
  const { facts = sqliteFacts } = given
  return { facts, durability: facts.durability[0]!, topics: [], groups: [], exceptions: [], ...given }
}

function verdictOf(id: string, given: Partial<GuaranteeSetting>): string {
  const { verdict, why } = guaranteeCard(setting(given)).clauses.find((clause) => clause.id === id)!
  return why === '' ? verdict : `${verdict}: ${why}`
}

describe('the clauses', () => {
  test('are those of guarantees.md, in its order', () => {
    const page = read('docs/reference/guarantees.md')
    const ids = [...page.matchAll(/^- \*\*([A-Z]\d)\b/gm)].map(([, id]) => id)
    assert.deepEqual(
      clauses.map(({ id }) => id),
      ids,
    )
  })

  for (const { id, proofs } of clauses) {
    for (const { file, test: name } of proofs) {
      test(`${id}: ${file} has a test "${name}" and names the clause`, () => {
        assert.ok(existsSync(join(root, file)), `${file} is missing`)
        const text = read(file)
        assert.ok(text.includes(name), `${file} has no such test`)
        assert.ok(new RegExp(`\\b${id}\\b`).test(text), `${file} does not name ${id}`)
      })
    }
  }

  for (const facts of engines) {
    test(`each that holds on ${facts.name} has a proof that runs there`, () => {
      const { clauses: judged } = guaranteeCard(setting({ facts }))
      const claimed = judged.filter(({ kind, verdict }) => kind === 'promise' && verdict === 'holds')
      assert.ok(claimed.length > 20)
      assert.deepEqual(
        claimed.filter(({ proofs }) => proofs.length === 0).map(({ id }) => id),
        [],
      )
      const durable = judged.filter(({ id, verdict }) => id === 'D1' && verdict === 'holds')
      for (const { proofs } of durable)
        assert.ok(proofs.every((proof) => proof.engines?.includes(facts.name)))
    })
  }
})

test('a proof that the conformance suite leaves out on an engine is not shown for it', () => {
  const shown = (facts: EngineFacts) =>
    guaranteeCard(setting({ facts })).clauses.flatMap(({ proofs }) => proofs.map(({ file }) => file))
  const deduplicating = 'src/testing/conformance/dedup.ts'
  assert.ok(shown(sqliteFacts).includes(deduplicating))
  assert.ok(!shown(kafkaFacts).includes(deduplicating))
})

describe('a guarantee card', () => {
  test('says what durability does not cover', () => {
    assert.match(verdictOf('D1', { facts: memoryFacts }), /^no: the engine offers memory at most/)
    assert.match(verdictOf('D2', { facts: memoryFacts }), /^no/)
    assert.match(verdictOf('D5', { facts: memoryFacts }), /^not-applicable/)
    assert.match(verdictOf('D1', { durability: 'os' }), /^partly: .* at os here/)
    assert.equal(verdictOf('D1', {}), 'holds')
    assert.match(verdictOf('D4', { facts: postgresFacts }), /^not-applicable: the server flushes/)
  })

  test('says for which topics ids are not remembered', () => {
    const none = { name: 'metrics', dedupWindowMs: 0 }
    assert.equal(verdictOf('N1', { topics: [{ name: 'orders', dedupWindowMs: 1 }] }), 'holds')
    assert.match(
      verdictOf('N1', { topics: [none, { name: 'orders', dedupWindowMs: 1 }] }),
      /^partly: .*metrics$/,
    )
    assert.match(verdictOf('U2', { topics: [none] }), /^no: .*metrics$/)
    assert.match(verdictOf('N1', { facts: { ...sqliteFacts, dedup: 'inbox' } }), /^partly: .*inbox/)
  })

  test('says which groups have which promise', () => {
    const groups = [
      { group: 'billing', guarantee: 'exactly-once', onExhausted: 'block' },
      { group: 'audit', guarantee: 'at-least-once', onExhausted: 'dead-letter' },
    ] as const
    assert.equal(verdictOf('X1', { groups }), 'holds: for billing')
    assert.equal(verdictOf('L1', { groups }), 'holds: for billing, audit')
    assert.match(verdictOf('A1', { groups }), /^not-applicable/)
    assert.match(verdictOf('O2', { groups }), /kept for billing/)
    assert.match(verdictOf('X1', { facts: memoryFacts }), /tx.query is refused/)
  })

  test('says what the storage itself does not keep', () => {
    const exceptions = [{ clause: 'D1', why: 'the server runs with fsync = off' }]
    assert.equal(
      verdictOf('D1', { facts: postgresFacts, exceptions }),
      'no: the server runs with fsync = off',
    )
    assert.equal(
      verdictOf('P3', { facts: { ...sqliteFacts, atomicVisibility: false } }).split(':')[0],
      'partly',
    )
  })

  test('of a running bus counts its topics and consumers', async () => {
    const orders = topic('orders', { partitions: 1, dedup: false })
    await using bus = await openBus({ engine: memory(), topics: [orders] })
    bus.consume(orders, { group: 'audit', guarantee: 'at-least-once' }, () => undefined)
    const card = await bus.guarantees()
    const found = new Map(card.clauses.map((clause) => [clause.id, clause]))
    assert.equal(card.engine, 'memory')
    assert.equal(found.get('N1')!.verdict, 'no')
    assert.equal(found.get('L1')!.why, 'for audit')
    assert.equal(found.get('X1')!.verdict, 'not-applicable')
  })
})

describe('semel guarantees', () => {
  test('prints every clause with its verdict, reason and tests', async () => {
    const { status, out } = await runCli(['guarantees', '--engine', 'memory'])
    assert.equal(status, 0)
    for (const { id, text } of clauses) assert.ok(out.includes(`${id}  ${text}`), id)
    assert.match(out, /D1 .*\n +does not hold: the engine offers memory at most/)
    assert.match(out, /test\/bus\/publish\.test\.ts › N1: a thousand/)
  })

  test('counts the topics of a file, and prints the card as JSON', async () => {
    const sample = await makeSampleFile()
    try {
      const { out } = await runCli(['guarantees', '--file', sample.file, '--durability', 'os', '--json'])
      const card = JSON.parse(out)
      assert.equal(card.engine, 'sqlite')
      const d1 = card.clauses.find(({ id }: { id: string }) => id === 'D1')
      assert.equal(d1.verdict, 'partly')
      assert.ok(d1.proofs.length > 0)
      // A group's commands are in a topic without a window, which is ours and no topic of the user's.
      const n1 = card.clauses.find(({ id }: { id: string }) => id === 'N1')
      assert.equal(n1.verdict, 'holds')
      assert.equal(card.clauses.length, clauses.length)
    } finally {
      sample.remove()
    }
  })

  test('knows Kafka: what brokers promise, why it is less, and the tests that ran on real ones', async () => {
    const { status, out } = await runCli(['guarantees', '--engine', 'kafka', '--json'])
    assert.equal(status, 0)
    const found = new Map(JSON.parse(out).clauses.map((clause: { id: string }) => [clause.id, clause]))
    const verdict = (id: string) => (found.get(id) as { verdict: string }).verdict
    assert.deepEqual(['D1', 'N1', 'P3', 'X1'].map(verdict), ['partly', 'partly', 'partly', 'holds'])
    assert.match(out, /test\/kafka\/chaos\.test\.ts/)
    assert.doesNotMatch(out, /test\/postgres\//)
  })

  const mistakes: readonly [args: readonly string[], says: RegExp][] = [
    [['--engine', 'sqlit'], /did you mean sqlite\?/],
    [['--engine', 'memory', '--file', 'x.db'], /--file belongs to --engine sqlite/],
    [['--engine', 'postgres', '--durability', 'memory'], /--durability is one of fsync, os/],
    [['--file', '/nowhere/x.db'], /there is no file/],
  ]
  for (const [args, says] of mistakes) {
    test(`${args.join(' ')} is refused`, async () => {
      const { status, err } = await runCli(['guarantees', ...args])
      assert.notEqual(status, 0)
      assert.match(err, says)
    })
  }
})
