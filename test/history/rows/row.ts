import type { AnomalyName, CheckOptions } from '../../../src/testing/history/index.ts'
import type { Script } from '../script.ts'

/** One way to be wrong: the least bad history, and a good one that looks like it. */
export interface Row {
  readonly anomaly: AnomalyName
  readonly title: string
  readonly bad: (s: Script) => void
  readonly good: (s: Script) => void
  /** What else the bad history is guilty of. */
  readonly also?: readonly AnomalyName[]
  readonly options?: CheckOptions
  /** For the good history, where it is the options that make it good. */
  readonly goodOptions?: CheckOptions
}
