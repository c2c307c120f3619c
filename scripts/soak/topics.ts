import { topic } from '../../src/index.ts'

export interface SoakEvent {
  readonly n: number
  readonly publisher: string
  readonly key: string
}

export const input = topic<SoakEvent>('soak.input', { partitions: 6, key: (event) => event.key })
export const output = topic<{ n: number; publisher: string; key: string; count: number }>('soak.output', {
  partitions: 3,
  key: (event) => event.key,
})
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
