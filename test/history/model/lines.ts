import { SeededRandom } from '../../../src/platform/seeded-random.ts'
import type { HistoryEvent } from '../../../src/testing/history/index.ts'

export type Rec = [off: number, id: string | null, val: string, crc: number, key: string | null]

/** Fields of any line, free to change. */
export interface Fields {
  topic?: string
  g?: string
  p?: number
  off?: number
  id?: string
  key?: string
  val?: string
  crc?: number
  n?: number
  epoch?: number
  dup?: boolean
  end?: number
  logId?: string
  hash?: string
  count?: number
  sum?: number
  status?: number
  bodyHash?: string
  deadlineMs?: number
  recs?: Record<string, Rec[]>
  micro?: Fields[]
}

export interface Line {
  i: number
  t: number
  node: string
  proc: string
  sess: string
  of?: number
  type: string
  f: string
  err?: string
  v: Fields
}

/** A call and its answer. */
export interface Pair {
  readonly invoke: Line
  readonly settled: Line
}

/** One record of one poll. */
export interface Hit {
  readonly line: Line
  readonly p: number
  readonly index: number
  readonly list: Rec[]
  readonly rec: Rec
}

/** A history whose lines can be changed, and what a mutation needs to find in it. */
export class Lines {
  lines: Line[]
  readonly random: SeededRandom

  constructor(events: readonly HistoryEvent[], seed: number) {
    this.lines = JSON.parse(JSON.stringify(events))
    for (const line of this.lines) line.v ??= {}
    this.random = new SeededRandom(seed)
  }

  /** Back to a history. Every mutation keeps the form: what is judged is the meaning. */
  events(): HistoryEvent[] {
    const lines: unknown = this.lines.map((line) =>
      Object.keys(line.v).length === 0 ? { ...line, v: undefined } : line,
    )
    return lines as HistoryEvent[]
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[this.random.below(Math.max(1, from.length))]
  }

  pairs(f: string, type = 'ok'): Pair[] {
    const settled = new Map<string, Line>()
    for (const line of this.lines) {
      if (line.of !== undefined && line.f === f && line.type === type)
        settled.set(`${line.node} ${line.of}`, line)
    }
    return this.lines.flatMap((invoke) => {
      const answer = invoke.type === 'invoke' ? settled.get(`${invoke.node} ${invoke.i}`) : undefined
      return answer === undefined ? [] : [{ invoke, settled: answer }]
    })
  }

  alone(f: string): Line[] {
    return this.lines.filter((line) => line.f === f && line.of === undefined && line.type === 'ok')
  }

  hits(): Hit[] {
    return this.lines
      .filter(({ f, type }) => f === 'poll' && type !== 'invoke')
      .flatMap((line) =>
        Object.entries(line.v.recs ?? {}).flatMap(([p, list]) =>
          list.map((rec, index) => ({ line, p: Number(p), index, list, rec })),
        ),
      )
  }

  /** Attempts to send a value, in calls of one event and of many. */
  sends(val: string): Line[] {
    return this.lines.filter(
      ({ type, v }) => type === 'invoke' && (v.val === val || v.micro?.some((micro) => micro.val === val)),
    )
  }

  /** Acknowledged calls of one event that was sent once only. */
  sentOnce(): Pair[] {
    const counts = new Map<string, number>()
    for (const { type, v } of this.lines) {
      if (type !== 'invoke') continue
      for (const val of [v.val, ...(v.micro ?? []).map((micro) => micro.val)])
        if (val !== undefined) counts.set(val, (counts.get(val) ?? 0) + 1)
    }
    return this.pairs('publish').filter(({ invoke, settled }) => {
      return counts.get(invoke.v.val!) === 1 && settled.v.dup !== true
    })
  }

  remove(gone: ReadonlySet<Line>): void {
    this.lines = this.lines.filter((line) => !gone.has(line))
  }

  /** Adds a line after another one, as told by the same client. */
  after(line: Line, added: Partial<Line>): Line {
    const fresh: Line = { ...structuredClone(line), ...added, i: 1_000_000 + this.lines.length }
    this.lines.splice(this.lines.indexOf(line) + 1, 0, fresh)
    return fresh
  }

  positionOf(line: Line): number {
    return this.lines.indexOf(line)
  }

  /** Takes every trace of an event out of readers, handlers and sinks. */
  forget(p: number, off: number): void {
    for (const { list, rec } of this.hits().filter((hit) => hit.p === p && hit.rec[0] === off))
      list.splice(list.indexOf(rec), 1)
    const gone = new Set(this.alone('effect').filter(({ v }) => v.p === p && v.off === off))
    for (const f of ['handle', 'dlq']) {
      for (const type of ['ok', 'fail', 'info']) {
        for (const { invoke, settled } of this.pairs(f, type)) {
          if (invoke.v.p !== p || invoke.v.off !== off) continue
          gone.add(invoke)
          gone.add(settled)
        }
      }
    }
    this.remove(gone)
  }
}
