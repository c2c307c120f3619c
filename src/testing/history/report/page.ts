import { chart, timelineDrawing } from './drawings.ts'
import { html } from './escape.ts'
import type { AnomalyReport, HistoryReport, ReportedWitness } from './report.ts'

const style = `body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem;color:#222;background:#fff}
h1 span{padding:.1em .5em;border-radius:.3em;color:#fff}.valid{background:#1a7f37}.invalid{background:#c62828}.void{background:#8a6d00}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}
code,.rows{font:12px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}.marked{background:#ffe3e3}.quiet{color:#666}
svg{display:block;width:100%;height:auto;margin:.5rem 0 1.5rem;background:#fafafa;border:1px solid #ddd}
details{margin:.3rem 0}summary{cursor:pointer}`

/**
 * The report as one page that needs nothing else: no script, no font, no address. Its policy says so to the browser
 * as well, in case something in a payload ever got through as markup.
 */
export function reportPage(report: HistoryReport): string {
  const { verdict, series, faults } = report
  const bars = { faults, startMs: series.startMs }
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>History: ${verdict}</title>
<style>${style}</style>
<h1>History <span class="${verdict}">${verdict}</span></h1>
<p>${report.operations} operations in ${report.events} lines.</p>
${list(report.reasons)}
${report.anomalies.map((anomaly) => anomalySection(anomaly, series.startMs)).join('\n')}
<h2>Partitions with faults</h2>
${report.timelines.length === 0 ? '<p class="quiet">None.</p>' : report.timelines.map((timeline) => timelineDrawing(timeline, bars)).join('\n')}
<h2>Over time</h2>
${chart('Operations by outcome', series, ['ok', 'fail', 'info'], bars)}
${chart('Acknowledged and not yet read', series, ['unseen'], bars)}
${chart('Lag of polls, offsets at least', series, ['lag'], bars)}
${chart('Slowest call, ms', series, ['slowestMs'], bars)}
<h2>Operations</h2>
${countTable(report)}
<h2>Faults</h2>
${faultTable(report)}
<p>${Object.entries(report.occurred)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}.</p>
</html>
`
}

function list(items: readonly string[]): string {
  return items.length === 0 ? '' : `<ul>${items.map((item) => `<li>${html(item)}</li>`).join('')}</ul>`
}

function anomalySection(anomaly: AnomalyReport, startMs: number): string {
  const { name, count, clauses, meaning, permitted, witnesses } = anomaly
  const note = permitted === undefined ? '' : ` <span class="quiet">${html(permitted)}</span>`
  return `<h2 id="${html(name)}">${html(name)} × ${count}</h2>
<p>${html(meaning)} <span class="quiet">(${html(clauses)})</span>${note}</p>
${witnesses.map((witness) => witnessDetails(witness, startMs)).join('\n')}`
}

function witnessDetails(
  { text, atMs, faults, operations, context }: ReportedWitness,
  startMs: number,
): string {
  const when = atMs === undefined ? '' : ` <span class="quiet">at ${seconds(atMs - startMs)}</span>`
  const during = faults.length === 0 ? '' : ` <span class="quiet">during ${html(faults.join(', '))}</span>`
  const calls = operations.map(
    ({ outcome, f, proc, node, i }) => `<div>${html(`${outcome} ${f} of ${proc} (${node}, i ${i})`)}</div>`,
  )
  const rows = context.map(
    ({ off, val, key, acknowledged, read, marked }) =>
      `<tr${marked ? ' class="marked"' : ''}><td>${off}</td><td>${html(val)}</td><td>${key === null ? '' : html(key)}</td><td>${acknowledged ? 'acknowledged' : ''}</td><td>${read ? 'read' : 'never read'}</td></tr>`,
  )
  return `<details><summary><code>${html(text)}</code>${when}${during}</summary><div class="rows">${calls.join('')}<table>${rows.join('')}</table></div></details>`
}

function countTable({ counts }: HistoryReport): string {
  const rows = Object.entries(counts).map(([f, { ok, fail, info, open, slowestMs }]) => {
    const cells = [ok, fail, info, open, slowestMs.toFixed(1)]
    return `<tr><td>${html(f)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
  })
  return `<table><tr><th>kind</th><th>ok</th><th>fail</th><th>info</th><th>open</th><th>slowest ms</th></tr>${rows.join('')}</table>`
}

function faultTable({ faults, series }: HistoryReport): string {
  if (faults.length === 0) return '<p class="quiet">None.</p>'
  const rows = faults.map(
    ({ name, fromMs, toMs, inFlight }) =>
      `<tr><td>${html(name)}</td><td>${seconds(fromMs - series.startMs)}</td><td>${toMs === undefined ? 'end' : seconds(toMs - series.startMs)}</td><td>${inFlight}</td></tr>`,
  )
  return `<table><tr><th>fault</th><th>on</th><th>off</th><th>operations under way</th></tr>${rows.join('')}</table>`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`
}
