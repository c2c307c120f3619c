// Writes the tables that are made from data, the engines' facts and the clauses, into the pages that show them.
// `--check` only compares.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { EngineFacts } from '../src/engine/facts.ts'
import type { Clause, Judgement } from '../src/features/guarantees/clause.ts'
import { clauseSections } from '../src/features/guarantees/guarantee-card.ts'

const root = join(import.meta.dirname, '..')
export const pagesWithTable = ['README.md', 'docs/reference/guarantees.md'] as const
const blocks = { engines: engineTable, clauses: clauseTable } as const

const levels = {
  fsync: 'a power failure',
  os: "the process's death",
  memory: 'nothing',
} as const
const clocks = { process: 'the process', database: 'the database', broker: 'the broker' } as const
const dialects = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const

/** What a reader wants to know of an engine, and how its facts answer. */
const rows: readonly (readonly [question: string, answer: (facts: EngineFacts) => string])[] = [
  [
    'an acknowledged publish survives, by default',
    ({ durability, ownership }) =>
      ownership === 'broker-group' ? 'a power failure of some of its replicas' : levels[durability[0]!],
  ],
  ['levels to choose from (D1–D3)', ({ durability }) => durability.map((level) => `\`${level}\``).join(', ')],
  ['several processes share one log', ({ sharedByProcesses }) => yesNo(sharedByProcesses)],
  ['several machines do', ({ sharedByMachines }) => yesNo(sharedByMachines)],
  ['`publishMany` becomes visible all at once (P3)', ({ atomicVisibility }) => yesNo(atomicVisibility)],
  [
    'an event id is recognised again (N1)',
    ({ dedup }) => (dedup === 'topic' ? 'at publishing, per topic' : "in each group's inbox"),
  ],
  ['your own tables in the same commit (X1)', ({ sql }) => (sql === undefined ? 'no' : dialects[sql])],
  ['offsets have no gaps (P1)', ({ denseOffsets }) => yesNo(denseOffsets)],
  ['a topic can be moved away while it is in use', ({ seals }) => yesNo(seals)],
  [
    'partitions are handed out by',
    ({ ownership }) => (ownership === 'lease-table' ? 'leases with epochs' : "the broker's group"),
  ],
  ['append time comes from (R2)', ({ appendClock }) => clocks[appendClock]],
]

function yesNo(fact: boolean): string {
  return fact ? 'yes' : 'no'
}

const verdicts = { holds: 'yes', partly: 'partly', no: 'no', 'not-applicable': 'n/a' } as const

/** What each engine keeps by default, and the tests that would fail if it did not. */
async function clauseTable(): Promise<string> {
  const engines = await publicEngines()
  const answer = (clause: Clause, facts: EngineFacts): string => {
    if (clause.kind === 'limit') return 'limit'
    const setting = { facts, durability: facts.durability[0]!, topics: [], groups: [], exceptions: [] }
    return verdictCell(clause.judge(setting))
  }
  const clauses = clauseSections.flatMap((section) => section.clauses)
  return [
    line(['', 'in short', ...engines.map(({ name }) => `\`${name}\``), 'proved by']),
    line(['---', '---', ...engines.map(() => '---'), '---']),
    ...clauses.map((clause) =>
      line([clause.id, clause.text, ...engines.map((facts) => answer(clause, facts)), proofCell(clause)]),
    ),
  ].join('\n')
}

function verdictCell({ verdict, why }: Judgement): string {
  return verdict === 'holds' || why === '' ? verdicts[verdict] : `${verdicts[verdict]}: ${why}`
}

function proofCell({ proofs }: Clause): string {
  const files = [...new Set(proofs.map(({ file }) => file))]
  return files.map((file) => `[${basename(file, '.ts').replace('.test', '')}](../../${file})`).join(', ')
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

/** Engines that a user can import: those with a door in package.json and facts. */
async function publicEngines(): Promise<EngineFacts[]> {
  const manifest: { exports: Record<string, unknown> } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const names = Object.keys(manifest.exports).map((door) => door.replace('./', ''))
  const files = names
    .map((name) => join(root, 'src/engines', name, 'facts.ts'))
    .filter((file) => existsSync(file))
  const modules = await Promise.all(files.map((file): Promise<Record<string, EngineFacts>> => import(file)))
  return modules.map((module) => Object.entries(module).find(([name]) => name.endsWith('Facts'))![1])
}

async function engineTable(): Promise<string> {
  const engines = await publicEngines()
  return [
    line(['', ...engines.map(({ name }) => `\`${name}\``)]),
    line(['---', ...engines.map(() => '---')]),
    ...rows.map(([question, answer]) => line([question, ...engines.map(answer)])),
  ].join('\n')
}

/** The page with its tables as they should be. */
export async function withTables(page: string): Promise<string> {
  let text = page
  for (const [name, make] of Object.entries(blocks)) {
    const block = new RegExp(`(<!-- ${name}:begin[^\\n]*-->\\n)[\\s\\S]*?(<!-- ${name}:end -->)`)
    const table = await make()
    text = text.replace(block, (_, begin: string, end: string) => `${begin}${table}\n${end}`)
  }
  return text
}

if (import.meta.main) {
  for (const name of pagesWithTable) {
    const path = join(root, name)
    const before = readFileSync(path, 'utf8')
    const after = await withTables(before)
    if (after === before) continue
    if (process.argv.includes('--check')) {
      console.log(`${name} is stale: node scripts/docs-tables.ts`)
      process.exitCode = 1
    } else writeFileSync(path, after)
  }
}
