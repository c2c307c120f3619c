import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { reportText } from '../src/testing/history/index.ts'
import {
  type CampaignReport,
  isFaultName,
  type Knobs,
  minimiseSeed,
  runCampaignSeed,
} from '../src/testing/simulation/index.ts'

const usage = `Simulated runs of the whole core under faults, one seed after the other.

  npm run simulate -- [--seed N] [--seeds K] [--for 60s] [--knobs JSON] [--history file] [--json]

Begins at the seed and goes on until K seeds or the time are through. A seed that fails is made smaller, and printed as
a command that repeats it; the exit status is 1 then.
`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    for: { type: 'string' },
    knobs: { type: 'string' },
    history: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function milliseconds(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text)
  if (match === null) throw new RangeError(`--for must look like 90s, 10m or 1h, not ${JSON.stringify(text)}`)
  return Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
}

function parseKnobs(text: string | undefined): Partial<Knobs> {
  if (text === undefined) return {}
  const knobs: Partial<Knobs> = JSON.parse(text)
  const unknown = knobs.faults?.find((name) => !isFaultName(name))
  if (unknown !== undefined) throw new RangeError(`there is no fault ${unknown}`)
  return knobs
}

function commandOf(seed: number, knobs: Partial<Knobs>): string {
  const rest = Object.keys(knobs).length === 0 ? '' : ` --knobs '${JSON.stringify(knobs)}'`
  return `npm run simulate -- --seed ${seed} --seeds 1${rest}`
}

interface Totals {
  seeds: number
  valid: number
  void: number
  readonly failed: { readonly seed: number; readonly reasons: readonly string[]; readonly command: string }[]
  operations: number
  simulatedMs: number
}

async function failed(report: CampaignReport, knobs: Partial<Knobs>, totals: Totals): Promise<void> {
  const small = await minimiseSeed({ seed: report.seed, knobs })
  const command = commandOf(report.seed, small.changed)
  totals.failed.push({ seed: report.seed, reasons: small.report.reasons, command })
  if (values.json) return
  console.log(reportText(small.report.report))
  for (const reason of small.report.reasons) console.log(reason)
  console.log(`\nseed ${report.seed} fails; smallest of ${small.runs} runs:\n  ${command}\n`)
}

async function main(): Promise<void> {
  if (values.help) return console.log(usage)
  const knobs = parseKnobs(values.knobs)
  const first = Number(values.seed)
  const count = Number(values.seeds ?? (values.for === undefined ? 100 : Number.POSITIVE_INFINITY))
  const endMs =
    performance.now() + (values.for === undefined ? Number.POSITIVE_INFINITY : milliseconds(values.for))
  const totals: Totals = { seeds: 0, valid: 0, void: 0, failed: [], operations: 0, simulatedMs: 0 }
  for (let seed = first; seed < first + count && performance.now() < endMs; seed++) {
    const report = await runCampaignSeed({ seed, knobs })
    if (values.history !== undefined) writeFileSync(values.history, report.history)
    totals.seeds++
    totals.operations += report.report.operations
    totals.simulatedMs += report.simulatedMs
    if (report.verdict === 'invalid') await failed(report, knobs, totals)
    else totals[report.verdict]++
    if (report.verdict === 'void' && !values.json) console.log(`seed ${seed}: ${report.reasons.join('; ')}`)
    // A simulation gives nobody else a turn, so that signals would not come through.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (totals.failed.length > 0) process.exitCode = 1
  if (values.json) return console.log(JSON.stringify(totals))
  const { seeds, valid, operations, simulatedMs } = totals
  console.log(
    `${seeds} seeds: ${valid} valid, ${totals.void} void, ${totals.failed.length} failed; ` +
      `${operations} operations in ${Math.round(simulatedMs / 1_000)} simulated seconds`,
  )
}

await main()
