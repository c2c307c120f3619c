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
