import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  type AnomalyName,
  anomalyNames,
  type CheckOptions,
  checkHistory,
  type GroupOptions,
  type Guarantee,
  HistoryFormatError,
  isAnomalyName,
  mergeHistories,
  reportJson,
  reportPage,
  reportText,
  type Verdict,
} from '../../testing/history/index.ts'
import { StoredHistory } from '../../testing/real-history-file.ts'
import { safeText } from '../safe-text.ts'

const guarantees: readonly string[] = ['at-most-once', 'at-least-once', 'exactly-once'] satisfies Guarantee[]
const exitOf: Readonly<Record<Verdict, number>> = { valid: 0, invalid: 1, void: 3 }
const exitUsage = 2

const help = `Judges recorded histories: what clients were told and saw against what Semel promises.

  semel check HISTORY.ndjson... [options]

  --json                    print the report as JSON
  --html FILE               also write it as one page
  --engine atomic|kafka     kafka: transactions do not become visible at once (default atomic)
  --group NAME=GUARANTEE    at-most-once, at-least-once or exactly-once (default for all groups)
  --allow ANOMALY           not a fault in this run, e.g. lost-write under durability memory
  --fault NAME              a planned fault: a run in which it hit nothing is void
  --undrained               the run ended without final reads
  --help                    show this

Several files, one of each process, are merged by time.
Exit status: 0 valid, 1 invalid, 2 the command line or a file was wrong, 3 void: the run proves nothing.`

/** Where a command writes, line by line. */
export interface CommandOutput {
  readonly out: (line: string) => void
  readonly err: (line: string) => void
}

/** The command line is wrong; the message says how. */
class CheckUsageError extends Error {}

interface Wanted {
  readonly files: readonly string[]
  readonly json: boolean
  readonly html: string | undefined
  readonly options: CheckOptions
}

/** `semel check`. Answers the exit status; prints through `io` alone. */
export async function checkCommand(args: readonly string[], io: CommandOutput): Promise<number> {
  try {
    const wanted = readWanted(args)
    if (wanted === undefined) {
      io.out(help)
      return 0
    }
    const history = mergeHistories(wanted.files.map((file) => new StoredHistory(file)))
    const report = checkHistory(history, wanted.options)
    if (wanted.html !== undefined) writeFileSync(wanted.html, reportPage(report), { mode: 0o600 })
    io.out(wanted.json ? reportJson(report) : reportText(report))
    return exitOf[report.verdict]
  } catch (error) {
    const isExpected =
      error instanceof CheckUsageError || error instanceof HistoryFormatError || isFileError(error)
    if (!isExpected) throw error
    io.err(safeText(error.message))
    return exitUsage
  }
}

function readWanted(args: readonly string[]): Wanted | undefined {
  const { values, positionals } = parse(args)
  if (values.help === true) return undefined
  if (positionals.length === 0)
    throw new CheckUsageError('semel check needs a file: semel check HISTORY.ndjson')
  const { engine = 'atomic' } = values
  if (engine !== 'atomic' && engine !== 'kafka')
    throw new CheckUsageError(`--engine is atomic or kafka, not ${JSON.stringify(engine)}`)
  return {
    files: positionals,
    json: values.json === true,
    html: values.html,
    options: {
      atomicVisibility: engine === 'atomic',
      drained: values.undrained !== true,
      groups: Object.fromEntries((values.group ?? []).map(readGroup)),
      allow: (values.allow ?? []).map(readAnomaly),
      gates: { plannedFaults: Object.fromEntries((values.fault ?? []).map((name) => [name, 1])) },
    },
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        html: { type: 'string' },
        engine: { type: 'string' },
        group: { type: 'string', multiple: true },
        allow: { type: 'string', multiple: true },
        fault: { type: 'string', multiple: true },
        undrained: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new CheckUsageError(error instanceof Error ? error.message : String(error))
  }
}

function readGroup(text: string): [string, GroupOptions] {
  const at = text.lastIndexOf('=')
  const guarantee = text.slice(at + 1)
  if (at < 1 || !isGuarantee(guarantee))
    throw new CheckUsageError(
      `--group is NAME=GUARANTEE, one of ${guarantees.join(', ')}; not ${JSON.stringify(text)}`,
    )
  return [text.slice(0, at), { guarantee }]
}

function isGuarantee(text: string): text is Guarantee {
  return guarantees.includes(text)
}

function readAnomaly(name: string): AnomalyName {
  if (isAnomalyName(name)) return name
  throw new CheckUsageError(`--allow knows no ${JSON.stringify(name)}; there are ${anomalyNames.join(', ')}`)
}

function isFileError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && 'syscall' in error
}
