import { topic } from '../../../event/topic.ts'
import type { EmittedData } from '../recorded-storage.ts'
import type { Knobs } from './knobs.ts'

export interface InputData {
  readonly key: string
  readonly val: string
  readonly n: number
  /** What no attempt can handle until all is healed. */
  readonly poison: boolean
}

const ownIdPrefix = 'id-'

/** An id that a producer gives to one content only. */
export function ownId(val: string): string {
  return `${ownIdPrefix}${val}`
}

/** Whether an id names one content: the bus makes up other ids, and some are used for two contents on purpose. */
export function isOwnId(id: string): boolean {
  return id.startsWith(ownIdPrefix)
}

export function topicsOf({ partitions }: Knobs) {
  const input = topic<InputData>('input', { partitions, key: ({ key }) => key })
  const output = topic<EmittedData>('output', { partitions, key: ({ key }) => key })
  return { input, output }
}

export type Topics = ReturnType<typeof topicsOf>

export const groups = {
  exactlyOnce: 'exactly',
  atLeastOnce: 'at-least',
  atMostOnce: 'at-most',
} as const
