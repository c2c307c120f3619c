// Writes the engine table, made from the engines' own facts, into the pages that show it. `--check` only compares.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EngineFacts } from '../src/engine/facts.ts'

const root = join(import.meta.dirname, '..')
export const pagesWithTable = ['README.md', 'docs/reference/guarantees.md'] as const
const block = /(<!-- engines:begin[^\n]*-->\n)[\s\S]*?(<!-- engines:end -->)/

const levels = {
  fsync: 'a power failure',
  os: "the process's death",
  memory: 'nothing',
} as const
const clocks = { process: 'the process', database: 'the database', broker: 'the broker' } as const
const dialects = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const

/** What a reader wants to know of an engine, and how its facts answer. */
const rows: readonly (readonly [question: string, answer: (facts: EngineFacts) => string])[] = [
  ['an acknowledged publish survives, by default', ({ durability }) => levels[durability[0]!]],
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
  [
    'partitions are handed out by',
    ({ ownership }) => (ownership === 'lease-table' ? 'leases with epochs' : "the broker's group"),
  ],
  ['append time comes from (R2)', ({ appendClock }) => clocks[appendClock]],
]

function yesNo(fact: boolean): string {
  return fact ? 'yes' : 'no'
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

export async function engineTable(): Promise<string> {
  const engines = await publicEngines()
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(['', ...engines.map(({ name }) => `\`${name}\``)]),
    line(['---', ...engines.map(() => '---')]),
    ...rows.map(([question, answer]) => line([question, ...engines.map(answer)])),
  ].join('\n')
}

export function withTable(page: string, table: string): string {
  return page.replace(block, (_, begin: string, end: string) => `${begin}${table}\n${end}`)
}

if (import.meta.main) {
  const table = await engineTable()
  for (const name of pagesWithTable) {
    const path = join(root, name)
    const before = readFileSync(path, 'utf8')
    const after = withTable(before, table)
    if (after === before) continue
    if (process.argv.includes('--check')) {
      console.log(`${name} is stale: node scripts/docs-tables.ts`)
      process.exitCode = 1
    } else writeFileSync(path, after)
  }
}
