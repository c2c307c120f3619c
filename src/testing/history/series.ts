/** Buckets of a series. A run of any length fits: when time runs out, buckets are merged in pairs. */
const bucketsMax = 256
const firstWidthMs = 1

const seriesNames = ['ok', 'fail', 'info', 'slowestMs', 'lag', 'unseen'] as const
export type SeriesName = (typeof seriesNames)[number]
/** Counts of one bucket add up; a measure keeps its highest. */
const adds: ReadonlySet<SeriesName> = new Set(['ok', 'fail', 'info'])

export interface SeriesReport {
  readonly startMs: number
  readonly widthMs: number
  readonly values: Readonly<Record<SeriesName, readonly number[]>>
}

/** Rates, latency, lag and unread events over the time of a run, in bounded memory. */
export class Series {
  #startMs: number | undefined
  #widthMs = firstWidthMs
  #used = 0
  readonly #values: Readonly<Record<SeriesName, Float64Array>> = {
    ok: new Float64Array(bucketsMax),
    fail: new Float64Array(bucketsMax),
    info: new Float64Array(bucketsMax),
    slowestMs: new Float64Array(bucketsMax),
    lag: new Float64Array(bucketsMax),
    unseen: new Float64Array(bucketsMax),
  }

  record(name: SeriesName, t: number, value: number): void {
    this.#startMs ??= t
    let bucket = Math.max(0, Math.floor((t - this.#startMs) / this.#widthMs))
    while (bucket >= bucketsMax) {
      this.#halve()
      bucket = Math.floor((t - this.#startMs) / this.#widthMs)
    }
    this.#used = Math.max(this.#used, bucket + 1)
    const values = this.#values[name]
    values[bucket] = adds.has(name) ? values[bucket]! + value : Math.max(values[bucket]!, value)
  }

  report(): SeriesReport {
    const of = (name: SeriesName) => [...this.#values[name].subarray(0, this.#used)]
    return {
      startMs: this.#startMs ?? 0,
      widthMs: this.#widthMs,
      values: {
        ok: of('ok'),
        fail: of('fail'),
        info: of('info'),
        slowestMs: of('slowestMs'),
        lag: of('lag'),
        unseen: of('unseen'),
      },
    }
  }

  #halve(): void {
    for (const name of seriesNames) {
      const values = this.#values[name]
      for (let bucket = 0; bucket < bucketsMax / 2; bucket++) {
        const [a, b] = [values[2 * bucket]!, values[2 * bucket + 1]!]
        values[bucket] = adds.has(name) ? a + b : Math.max(a, b)
      }
      values.fill(0, bucketsMax / 2)
    }
    this.#used = Math.ceil(this.#used / 2)
    this.#widthMs *= 2
  }
}
