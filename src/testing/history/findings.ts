import { type AnomalyName, anomalyNames } from './anomaly-names.ts'
import type { Partition, Value } from './log-model.ts'
import type { Operation } from './operation.ts'

/** An operation as a report names it: enough to find its lines. */
export interface OperationRef {
  readonly f: string
  readonly node: string
  readonly proc: string
  readonly i: number
  readonly startMs: number
  /** Undefined: it never ended. */
  readonly endMs: number | undefined
  readonly outcome: string
}

/** One instance of an anomaly. */
export interface Witness {
  readonly text: string
  readonly topic?: string | undefined
  readonly p?: number | undefined
  readonly group?: string | undefined
  readonly offsets: readonly number[]
  readonly values: readonly string[]
  readonly operations: readonly OperationRef[]
  /** When it showed; undefined if it is something that never happened. */
  readonly atMs: number | undefined
}

export interface Evidence {
  readonly text: string
  readonly partition?: Partition | undefined
  readonly topic?: string | undefined
  readonly group?: string | undefined
  readonly offsets?: readonly number[] | undefined
  readonly values?: readonly Value[] | undefined
  readonly operations?: readonly Operation[] | undefined
}

export interface Found {
  count: number
  /** Why it is no fault in this run; undefined: it is one. */
  readonly permitted: string | undefined
  readonly witnesses: Witness[]
}

/**
 * Counts anomalies and keeps the smallest witnesses of each: those with the fewest operations, then the earliest.
 * Evidence is only asked for if it will be kept, because a really broken log has a witness in every line.
 */
export class Findings {
  readonly #found = new Map<AnomalyName, Found>()
  readonly #sizes = new Map<AnomalyName, number[]>()
  readonly #permitted: ReadonlyMap<AnomalyName, string>
  readonly #witnessesMax: number

  constructor(permitted: ReadonlyMap<AnomalyName, string>, witnessesMax: number) {
    this.#permitted = permitted
    this.#witnessesMax = witnessesMax
  }

  /** `size`: how much a reader has to take in; 1 for most, the length of a circle. */
  add(name: AnomalyName, evidence: () => Evidence, size = 1): void {
    let found = this.#found.get(name)
    if (found === undefined) {
      found = { count: 0, permitted: this.#permitted.get(name), witnesses: [] }
      this.#found.set(name, found)
      this.#sizes.set(name, [])
    }
    found.count++
    const sizes = this.#sizes.get(name)!
    if (found.witnesses.length === this.#witnessesMax && size >= sizes.at(-1)!) return
    const at = sizes.filter((other) => other <= size).length
    sizes.splice(at, 0, size)
    found.witnesses.splice(at, 0, toWitness(evidence()))
    if (found.witnesses.length <= this.#witnessesMax) return
    sizes.pop()
    found.witnesses.pop()
  }

  /** In the order of the table. */
  *all(): Generator<readonly [AnomalyName, Found]> {
    for (const name of anomalyNames) {
      const found = this.#found.get(name)
      if (found !== undefined) yield [name, found]
    }
  }
}

function toWitness(evidence: Evidence): Witness {
  const { text, partition, group, offsets = [], values = [], operations = [] } = evidence
  const times = operations.map(({ startT, endT }) => (Number.isFinite(endT) ? endT : startT))
  return {
    text,
    topic: partition?.topic.name ?? evidence.topic ?? values[0]?.topic.name,
    p: partition?.p,
    group,
    offsets,
    values: values.map(({ val }) => val),
    operations: operations.map(toRef),
    atMs: times.length === 0 ? undefined : Math.max(...times),
  }
}

function toRef({ f, node, proc, i, startT, endT, outcome }: Operation): OperationRef {
  return { f, node, proc, i, startMs: startT, endMs: Number.isFinite(endT) ? endT : undefined, outcome }
}
