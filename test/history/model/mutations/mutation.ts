import type { AnomalyName } from '../../../../src/testing/history/index.ts'
import type { Lines } from '../lines.ts'

/** A change of meaning. */
export interface Mutation {
  readonly name: string
  /** One of these must be found. */
  readonly caughtAs: readonly AnomalyName[]
  /** Changes the history; false if there is nothing in it to change. */
  readonly apply: (h: Lines) => boolean
}

/** Applies a change to one of the candidates. */
export function one<T>(h: Lines, candidates: readonly T[], change: (chosen: T) => void): boolean {
  const chosen = h.pick(candidates)
  if (chosen === undefined) return false
  change(chosen)
  return true
}
