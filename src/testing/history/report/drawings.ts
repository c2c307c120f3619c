import type { FaultSpan } from '../metrics.ts'
import type { SeriesName, SeriesReport } from '../series.ts'
import { html } from './escape.ts'
import type { PartitionTimeline, PointKind } from './timeline.ts'

export interface FaultBars {
  readonly faults: readonly FaultSpan[]
  readonly startMs: number
}

const width = 1000
const left = 70
const right = 10
const top = 24
const chartHeight = 120
const rowHeight = 14
const rowsMax = 60
const colours: Readonly<Record<SeriesName, string>> = {
  ok: '#1a7f37',
  fail: '#c98a00',
  info: '#c62828',
  slowestMs: '#5b3cc4',
  lag: '#0b6bcb',
  unseen: '#0b6bcb',
}
const marks: Readonly<Record<PointKind, { colour: string; letter: string }>> = {
  sent: { colour: '#1a7f37', letter: 'S' },
  read: { colour: '#0b6bcb', letter: 'R' },
  handled: { colour: '#5b3cc4', letter: 'H' },
  committed: { colour: '#222', letter: 'C' },
  effect: { colour: '#a0127d', letter: 'E' },
  'dead letter': { colour: '#c98a00', letter: 'D' },
}

/** Where moments of a span of time fall on the drawing. */
class Axis {
  readonly #fromMs: number
  readonly #spanMs: number

  constructor(fromMs: number, toMs: number) {
    this.#fromMs = fromMs
    this.#spanMs = Math.max(toMs - fromMs, Number.MIN_VALUE)
  }

  x(ms: number): string {
    const share = Math.min(1, Math.max(0, (ms - this.#fromMs) / this.#spanMs))
    return (left + share * (width - left - right)).toFixed(1)
  }

  overlaps({ fromMs, toMs }: FaultSpan): boolean {
    return fromMs <= this.#fromMs + this.#spanMs && (toMs ?? Infinity) >= this.#fromMs
  }
}

/** Lines over time with a bar behind them while a fault was on. */
export function chart(
  title: string,
  series: SeriesReport,
  names: readonly SeriesName[],
  bars: FaultBars,
): string {
  const length = series.values[names[0]!].length
  if (length === 0) return ''
  const axis = new Axis(series.startMs, series.startMs + length * series.widthMs)
  const highest = Math.max(1, ...names.flatMap((name) => series.values[name]))
  const y = (value: number) => (top + chartHeight * (1 - value / highest)).toFixed(1)
  const lines = names.map((name) => {
    const points = series.values[name].map(
      (value, n) => `${axis.x(series.startMs + (n + 0.5) * series.widthMs)},${y(value)}`,
    )
    return `<polyline fill="none" stroke="${colours[name]}" points="${points.join(' ')}"><title>${name}</title></polyline>`
  })
  const legend = names.map((name, n) => label(left + 300 + n * 90, 16, name, colours[name]))
  return svg(
    chartHeight + top + 10,
    `${label(left, 16, title)}${legend.join('')}${faultBars(bars, axis, top, chartHeight)}${label(4, top + 10, round(highest))}${label(4, top + chartHeight, '0')}${lines.join('')}`,
  )
}

/** One partition around its witnesses: a row for each offset, a letter for each thing that happened to it. */
export function timelineDrawing(timeline: PartitionTimeline, bars: FaultBars): string {
  const { topic, p, points } = timeline
  const marked = new Set(timeline.marked)
  const offsets = [...new Set([...points.map(({ off }) => off), ...marked])].sort((a, b) => a - b)
  const rows = new Map(offsets.slice(0, rowsMax).map((off, n) => [off, top + n * rowHeight]))
  const times = points.map(({ atMs }) => atMs)
  const axis = new Axis(Math.min(...times), Math.max(...times))
  const height = rows.size * rowHeight
  const lines = [...rows].map(([off, y]) => {
    const back = marked.has(off)
      ? `<rect x="${left}" y="${y}" width="${width - left - right}" height="${rowHeight}" fill="#ffe3e3"/>`
      : ''
    return `${back}${label(4, y + 11, String(off))}`
  })
  const letters = points.flatMap(({ atMs, off, kind, outcome, who, val }) => {
    const y = rows.get(off)
    if (y === undefined) return []
    const { colour, letter } = marks[kind]
    const note = html(
      `${kind} ${outcome} by ${who} at ${((atMs - bars.startMs) / 1000).toFixed(3)} s${val === undefined ? '' : `: ${val}`}`,
    )
    return `<text x="${axis.x(atMs)}" y="${y + 11}" font-size="11" text-anchor="middle" fill="${colour}"${outcome === 'ok' ? '' : ' opacity="0.5"'}>${letter}<title>${note}</title></text>`
  })
  const legend = Object.entries(marks).map(([kind, { colour, letter }], n) =>
    label(left + 300 + n * 105, 16, `${letter} ${kind}`, colour),
  )
  const cut = offsets.length > rowsMax ? `, first ${rowsMax} of ${offsets.length} offsets` : ''
  return svg(
    height + top + 6,
    `${label(4, 16, `${topic}/${p}${cut}`)}${legend.join('')}${faultBars(bars, axis, top, height)}${lines.join('')}${letters.join('')}`,
  )
}

function faultBars({ faults, startMs }: FaultBars, axis: Axis, y: number, height: number): string {
  return faults
    .filter((span) => axis.overlaps(span))
    .map(({ name, fromMs, toMs }) => {
      const [from, to] = [Number(axis.x(fromMs)), Number(axis.x(toMs ?? Infinity))]
      const note = html(`${name} from ${((fromMs - startMs) / 1000).toFixed(3)} s`)
      return `<rect x="${from}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${height}" fill="#c62828" opacity="0.12"><title>${note}</title></rect>`
    })
    .join('')
}

function label(x: number, y: number, text: string, colour = '#444'): string {
  return `<text x="${x}" y="${y}" font-size="11" fill="${colour}">${html(text)}</text>`
}

function svg(height: number, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img">${content}</svg>`
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1)
}
