import { type Topic, topic } from '../../src/index.ts'

export interface SoakEvent {
  readonly n: number
  readonly publisher: string
  readonly key: string
}

export interface SoakCount extends SoakEvent {
  readonly count: number
}

export interface SoakTopics {
  readonly input: Topic<SoakEvent>
  readonly output: Topic<SoakCount>
}

/** Without deduplication where the engine has none at publishing (N7). */
export function soakTopics(dedups: boolean): SoakTopics {
  const dedup = dedups ? undefined : false
  return {
    input: topic<SoakEvent>('soak.input', { partitions: 6, dedup, key: (event) => event.key }),
    output: topic<SoakCount>('soak.output', { partitions: 3, dedup, key: (event) => event.key }),
  }
}

export const soakKeys = 500
export const groups = ['exactly-once', 'at-least-once', 'at-most-once'] as const

/** These fail on their first attempt. */
export function stumbles(n: number): boolean {
  return n % 97 === 0
}

/** These fail every time, until the soak says that what they need is healed. */
export function isPoison(n: number): boolean {
  return n % 211 === 3
}
