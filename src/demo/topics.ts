import type { RawJson } from '../event/event.ts'
import { topic } from '../index.ts'

/** What a worker says about one counted webhook. */
export interface CountSummary {
  readonly repository: string
  readonly type: string
  /** Events of this type in this repository so far. */
  readonly count: number
  readonly deliveryId: string
}

/** Webhook bodies, byte for byte as they came in. Keyed by repository when they are published. */
export const deliveries = topic<RawJson>('github.deliveries', { partitions: 6 })

export const summaries = topic<CountSummary>('github.summaries', {
  partitions: 3,
  key: (summary) => summary.repository,
})

export const countersGroup = 'counters'
