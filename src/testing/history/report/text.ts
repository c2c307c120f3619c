import { plain } from './escape.ts'
import type { AnomalyReport, HistoryReport, ReportedWitness } from './report.ts'

/** The report for a terminal. */
export function reportText(report: HistoryReport): string {
  const lines = [
    `${report.verdict.toUpperCase()}: ${report.operations} operations in ${report.events} lines`,
    ...report.reasons.map((reason) => `  ${reason}`),
    ...report.anomalies.flatMap((anomaly) => ['', ...anomalyLines(anomaly, report.series.startMs)]),
    '',
    ...countLines(report),
    '',
    `seen: ${Object.entries(report.occurred)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}, lagMax ${report.lagMax}`,
    ...faultLines(report),
  ]
  return lines.map(plain).join('\n')
}

/** The report as data, on one line, harmless to print. */
export function reportJson(report: HistoryReport): string {
  return plain(JSON.stringify(report))
}

function anomalyLines(
  { name, clauses, meaning, count, permitted, witnesses }: AnomalyReport,
  startMs: number,
) {
  const head = `${name} × ${count} (${clauses}): ${meaning}`
  if (permitted !== undefined) return [`${head}; ${permitted}`]
  return [head, ...witnesses.flatMap((witness) => witnessLines(witness, startMs))]
}

function witnessLines(witness: ReportedWitness, startMs: number): string[] {
  const { text, operations, context, faults } = witness
  const when = witness.atMs === undefined ? '' : ` at ${seconds(witness.atMs - startMs)}`
  const during = faults.length === 0 ? '' : `, during ${faults.join(', ')}`
  return [
    `  - ${text}${when}${during}`,
    ...operations
      .slice(0, 6)
      .map(({ f, proc, node, i, outcome }) => `      ${outcome} ${f} of ${proc} (${node}, i ${i})`),
    ...context.map(
      ({ off, val, key, acknowledged, read, marked }) =>
        `    ${marked ? '>' : ' '} ${String(off).padStart(8)}  ${JSON.stringify(val)}${key === null ? '' : ` key ${JSON.stringify(key)}`}${acknowledged ? '' : ' not acknowledged'}${read ? '' : ' never read'}`,
    ),
  ]
}

function countLines({ counts }: HistoryReport): string[] {
  const head = `${'operation'.padEnd(12)}${['ok', 'fail', 'info', 'open', 'mean ms', 'slowest'].map((word) => word.padStart(10)).join('')}`
  const rows = Object.entries(counts).map(([f, { ok, fail, info, open, totalMs, slowestMs }]) => {
    const mean = ok + fail === 0 ? 0 : totalMs / (ok + fail)
    const cells = [ok, fail, info, open, mean.toFixed(1), slowestMs.toFixed(1)]
    return `${f.padEnd(12)}${cells.map((cell) => String(cell).padStart(10)).join('')}`
  })
  return [head, ...rows]
}

function faultLines({ faults, series }: HistoryReport): string[] {
  return faults.map(({ name, fromMs, toMs, inFlight }) => {
    const until = toMs === undefined ? 'the end' : seconds(toMs - series.startMs)
    return `fault ${name}: ${seconds(fromMs - series.startMs)} to ${until}, ${inFlight} operations under way`
  })
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`
}
