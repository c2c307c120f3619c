// Writes what the campaign's totals say into docs/reference/evidence.md: `npm run evidence [-- FILE]`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kindsOf } from './campaign/kinds.ts'
import { readTotals, type Slice, type Totals, totalsFile } from './campaign/totals.ts'
import { root } from './run.ts'

const page = join(root, 'docs/reference/evidence.md')
const block = /(<!-- campaign:begin[^\n]*-->\n)[\s\S]*?(<!-- campaign:end -->)/

const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
const count = (value: number): string => Math.round(value).toLocaleString('en')

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, times]) => `${name} ${times}`)
    .join(', ')

function kindTable(totals: Totals): string[] {
  const rows = kindsOf().map(({ name, what, target }) => {
    const { done = 0, void: nothing = 0, seconds = 0, nextSeed = 1 } = totals.kinds[name] ?? {}
    const seeds = name === 'points' || name === 'calls' || done === 0 ? '' : `1 to ${nextSeed - 1}`
    const found = totals.violations.filter(({ kind }) => kind === name).length
    const goal = Number.isFinite(target) ? count(target) : 'all'
    return line([what, count(done), goal, count(nothing), seeds, `${count(seconds / 60)} min`, found])
  })
  return [
    line(['what', 'run', 'meant', 'void', 'seeds', 'time', 'violations']),
    line(Array(7).fill('---')),
    ...rows,
  ]
}

function scenarioLines({ points }: Totals): string[] {
  return Object.entries(points).map(
    ([name, { killed, exhausted }]) =>
      `- ${name}: ${killed} points, ${exhausted.length} of the steps or calls to their end`,
  )
}

/** Slices of one commit that follow each other, as one. */
function byCommit(slices: readonly Slice[]): Slice[] {
  const joined: Slice[] = []
  for (const slice of slices) {
    const last = joined.at(-1)
    if (last?.commit !== slice.commit) joined.push({ ...slice, kinds: { ...slice.kinds } })
    else {
      last.to = slice.to
      for (const [name, done] of Object.entries(slice.kinds))
        last.kinds[name] = (last.kinds[name] ?? 0) + done
    }
  }
  return joined
}

function text(totals: Totals): string {
  const { machine, slices, violations, mixed } = totals
  return [
    `Machine: ${machine}, shared with other work.`,
    '',
    ...kindTable(totals),
    '',
    'Crash points by scenario:',
    '',
    ...scenarioLines(totals),
    '',
    ...mixed.map(
      ({ engine, seed, seconds, operationsPerSecond, events, faults }) =>
        `- Mixed run on ${engine}, seed ${seed}: ${seconds} s, ${count(events)} events, ${count(operationsPerSecond)} operations/s; ${list(faults)}`,
    ),
    mixed.length === 0 ? '' : '\n',
    'Slices:',
    '',
    ...byCommit(slices).map(({ from, to, commit, kinds: own }) => {
      const did = Object.entries(own).map(([name, done]) => `${count(done)} ${name}`)
      return `- ${from.slice(0, 16)} to ${to.slice(11, 16)} UTC, commit ${commit}: ${did.join(', ') || 'nothing'}`
    }),
    '',
    violations.length === 0 ? 'Violations: none.' : 'Violations:',
    ...violations.map(({ kind, at, unit }) => `- ${at.slice(0, 16)} ${kind}, ${unit}`),
  ]
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
}

const file = process.argv[2] ?? join(root, totalsFile)
const before = readFileSync(page, 'utf8')
const written = text(readTotals(file))
writeFileSync(
  page,
  before.replace(block, (_, begin: string, end: string) => `${begin}${written}\n${end}`),
)
