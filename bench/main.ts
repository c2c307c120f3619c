import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres } from '../test/rig/postgres/server.ts'
import { engines } from './engines.ts'
import { type BenchCase, type Figures, median } from './measure.ts'
import { serverVariable } from './postgres/by-hand.ts'

const usage = `Measures Semel beside hand-written programs of the same durability, in turn, each in its own process.

  npm run bench -- [--engine sqlite|postgres|kafka] [--only CASE] [--runs N] [--for TIME] [--json]

  --engine E   default sqlite; for postgres a server of version 18 is started, flushing as servers do; for kafka
               a broker, which \`npm run kafka:setup\` makes ready
  --only CASE  ${Object.entries(engines)
    .map(([engine, cases]) => `of ${engine}: ${cases.map(({ name }) => name).join(', ')}`)
    .join('\n               ')}
  --runs N     runs of each program, the median counts (default 3)
  --for TIME   how long held-snapshot lasts, such as 30s or 10m (default 1m)
  --json       the same as data
`
const programFile = fileURLToPath(new URL('./run-program.ts', import.meta.url))

interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

interface CaseResult {
  readonly name: string
  readonly programs: Readonly<Record<string, Readonly<Record<string, Summary>>>>
  readonly reached: Readonly<Record<string, boolean>>
  readonly ratios: Readonly<
    Record<string, { readonly ratio: number; readonly reach: number; readonly reached: boolean }>
  >
}

function runCase(engine: string, bench: BenchCase): CaseResult {
  const figures = new Map<string, Figures[]>(Object.keys(bench.programs).map((name) => [name, []]))
  for (let run = 0; run < (bench.isLong ? 1 : runs); run++) {
    for (const [name, list] of figures) {
      const output = execFileSync(process.execPath, [programFile, engine, bench.name, name, String(forMs)], {
        encoding: 'utf8',
      })
      list.push(JSON.parse(output))
    }
  }
  const programs = Object.fromEntries([...figures].map(([name, list]) => [name, summarise(list)]))
  const own = programs.semel!
  const reached = Object.fromEntries(
    Object.entries(bench.reach).map(([figure, wanted]) => [
      figure,
      isReached(bench, figure, own[figure]!.median, wanted),
    ]),
  )
  const ratios = Object.fromEntries(
    Object.entries(bench.ratios).map(([name, reach]) => {
      const ratio = own[bench.figure]!.median / programs[name]![bench.figure]!.median
      return [name, { ratio, reach, reached: ratio >= reach }]
    }),
  )
  return { name: bench.name, programs, reached, ratios }
}

function isReached(bench: BenchCase, figure: string, value: number, wanted: number): boolean {
  const lower = bench.better === 'lower' || figure.endsWith('Ms') || figure.endsWith('PerLive')
  return lower ? value <= wanted : value >= wanted
}

function summarise(list: readonly Figures[]): Record<string, Summary> {
  return Object.fromEntries(
    Object.keys(list[0]!).map((figure) => {
      const values = list.map((figures) => figures[figure]!)
      return [figure, { median: median(values), min: Math.min(...values), max: Math.max(...values) }]
    }),
  )
}

function machine(): Record<string, string | number> {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  }
}

function show(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2)
}

function printCase(bench: BenchCase, result: CaseResult): void {
  console.log(`\n${bench.name}`)
  for (const [program, figures] of Object.entries(result.programs)) {
    for (const [figure, { median: middle, min, max }] of Object.entries(figures)) {
      const wanted = program === 'semel' ? bench.reach[figure] : undefined
      const mark =
        wanted === undefined ? '' : `   reach ${show(wanted)}: ${result.reached[figure] ? 'yes' : 'NO'}`
      console.log(
        `  ${program.padEnd(38)} ${figure.padEnd(18)} ${show(middle).padStart(10)}  (${show(min)} – ${show(max)})${mark}`,
      )
    }
  }
  for (const [program, { ratio, reach, reached }] of Object.entries(result.ratios)) {
    console.log(`  against ${program}: ${ratio.toFixed(2)}   reach ${reach}: ${reached ? 'yes' : 'NO'}`)
  }
}

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'sqlite' },
    only: { type: 'string' },
    runs: { type: 'string', default: '3' },
    for: { type: 'string', default: '1m' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const chosen = engines[values.engine]?.filter(({ name }) => values.only === undefined || name === values.only)
const runs = Number(values.runs)
const forMs = milliseconds(values.for)

function milliseconds(text: string): number {
  const [, count, unit] = /^(\d+)([sm])$/.exec(text) ?? []
  return Number(count) * (unit === 'm' ? 60_000 : 1_000)
}

/** The server whose address the programs find in their environment. */
async function startServer(): Promise<AsyncDisposable | undefined> {
  if (values.engine === 'kafka') return await startBroker()
  if (values.engine !== 'postgres') return undefined
  const server = await startPostgres({ version: 18, fsync: true })
  process.env[serverVariable] = server.url
  return server
}

/** Imported when it is asked for: the client is compiled and may be absent. */
async function startBroker(): Promise<AsyncDisposable> {
  const { startKafka } = await import('../test/rig/kafka/broker.ts')
  // Beside a busy client it may be late with its heartbeats, which is no fault of its own.
  const broker = await startKafka({ brokers: 1, settings: { 'broker.session.timeout.ms': 30_000 } })
  process.env.SEMEL_BENCH_KAFKA = broker.bootstrap
  return broker
}

async function main(cases: readonly BenchCase[]): Promise<void> {
  await using _ = await startServer()
  if (!values.json) console.log(JSON.stringify(machine()))
  const results = cases.map((bench) => {
    const result = runCase(values.engine, bench)
    if (!values.json) printCase(bench, result)
    return result
  })
  if (values.json) console.log(JSON.stringify({ machine: machine(), runs, results }, undefined, 2))
}

if (values.help) console.log(usage)
else if (chosen === undefined || chosen.length === 0 || !Number.isInteger(runs) || runs < 1 || !(forMs > 0)) {
  console.error(usage)
  process.exitCode = 2
} else await main(chosen)
