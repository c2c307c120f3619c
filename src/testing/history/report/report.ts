import { type AnomalyName, anomalies } from '../anomaly-names.ts'
import type { Found, Witness } from '../findings.ts'
import type { Partition } from '../log-model.ts'
import type { FaultSpan, Metrics, Occurrences, OperationCounts } from '../metrics.ts'
import type { HistoryEvent } from '../record.ts'
import type { SeriesReport } from '../series.ts'
import type { Scene } from '../watcher.ts'
import { type PartitionTimeline, timelines } from './timeline.ts'

/** `void`: the run proves nothing, neither good nor bad. */
export type Verdict = 'valid' | 'invalid' | 'void'

/** One offset near a witness, as the whole history knows it. */
export interface ContextRow {
  readonly off: number
  readonly val: string
  readonly key: string | null
  readonly acknowledged: boolean
  readonly read: boolean
  /** True if the witness is about this offset. */
  readonly marked: boolean
}

export interface ReportedWitness extends Witness {
  readonly context: readonly ContextRow[]
  /** Faults that were on around it. */
  readonly faults: readonly string[]
}

export interface AnomalyReport {
  readonly name: AnomalyName
  readonly clauses: string
  readonly meaning: string
  readonly count: number
  /** Why it is no fault in this run. */
  readonly permitted?: string | undefined
  readonly witnesses: readonly ReportedWitness[]
}

export interface HistoryReport {
  readonly verdict: Verdict
  /** Why the verdict is not `valid`. */
  readonly reasons: readonly string[]
  readonly events: number
  readonly operations: number
  readonly anomalies: readonly AnomalyReport[]
  readonly counts: Readonly<Record<string, OperationCounts>>
  readonly occurred: Occurrences
  /** Lower bound of how far the worst poll was behind, in offsets. */
  readonly lagMax: number
  readonly faults: readonly FaultSpan[]
  readonly series: SeriesReport
  /** What happened around the witnesses, for partitions with a fault. */
  readonly timelines: readonly PartitionTimeline[]
}

export interface Judged {
  readonly history: Iterable<HistoryEvent>
  readonly scene: Scene
  readonly metrics: Metrics
  readonly events: number
  readonly operations: number
  readonly voidReasons: readonly string[]
}

/** Offsets shown on each side of a witness. */
export const contextOffsets = 3
const aroundMs = 1000

export function buildReport(judged: Judged): HistoryReport {
  const { scene, metrics, voidReasons } = judged
  const found = [...scene.findings.all()].map(([name, each]) => reportOf(name, each, judged))
  const faulty = found.filter(({ permitted }) => permitted === undefined)
  const reasons = [
    ...faulty.map(({ name, count, meaning }) => `${name} (${count}): ${meaning}`),
    ...voidReasons.map((reason) => `void: ${reason}`),
  ]
  return {
    verdict: faulty.length > 0 ? 'invalid' : voidReasons.length > 0 ? 'void' : 'valid',
    reasons,
    events: judged.events,
    operations: judged.operations,
    anomalies: found,
    counts: Object.fromEntries(metrics.counts),
    occurred: metrics.occurred,
    lagMax: metrics.lagMax,
    faults: metrics.faults,
    series: metrics.series.report(),
    timelines: timelines(judged.history, faulty),
  }
}

function reportOf(name: AnomalyName, { count, permitted, witnesses }: Found, judged: Judged): AnomalyReport {
  const { scene, metrics } = judged
  return {
    name,
    ...anomalies[name],
    count,
    permitted,
    witnesses: witnesses.map((witness) => ({
      ...witness,
      context: contextOf(witness, scene),
      faults: faultsAround(witness, metrics.faults),
    })),
  }
}

const contextRowsMax = 40

function contextOf({ topic, p, offsets }: Witness, { model }: Scene): ContextRow[] {
  const partition =
    topic === undefined || p === undefined ? undefined : model.topics.get(topic)?.partitions.get(p)
  if (partition === undefined) return []
  const indexes = new Set<number>()
  for (const off of offsets) {
    const index = partition.indexFrom(off)
    for (let near = index - contextOffsets; near <= index + contextOffsets; near++) indexes.add(near)
  }
  const marked = new Set(offsets)
  return [...indexes]
    .filter((index) => index >= 0 && index < partition.offsets.length)
    .sort((a, b) => a - b)
    .slice(0, contextRowsMax)
    .map((index) => rowOf(partition, partition.offsets[index]!, marked))
}

function rowOf(partition: Partition, off: number, marked: ReadonlySet<number>): ContextRow {
  const value = partition.at.get(off)!
  return {
    off,
    val: value.val,
    key: value.key,
    acknowledged: value.acknowledged,
    read: value.seenBy !== undefined,
    marked: marked.has(off),
  }
}

function faultsAround({ operations }: Witness, faults: readonly FaultSpan[]): string[] {
  if (operations.length === 0) return []
  const from = Math.min(...operations.map(({ startMs }) => startMs)) - aroundMs
  const to = Math.max(...operations.map(({ startMs, endMs }) => endMs ?? startMs)) + aroundMs
  const near = faults.filter(({ fromMs, toMs }) => fromMs <= to && (toMs ?? Infinity) >= from)
  return [...new Set(near.map(({ name }) => name))]
}
