import { topic } from '../../src/index.ts'

/** One step of a lane: lane `a` publishes 0, 1, 2, … one after the other, each until it is acknowledged. */
export interface Step {
  readonly lane: string
  readonly n: number
}

export const steps = topic<Step>('steps', { partitions: 4, key: ({ lane }) => lane })
/** What the group emits for each step: how many of its lane it has counted. */
export const results = topic<Step & { count: number }>('results', { partitions: 2, key: ({ lane }) => lane })

export const group = 'drill'
/** The user's own table, without a key: an effect that happens twice is there twice. */
export const createEffects = 'create table effects (lane text, n integer, program text, seq bigserial)'

export function idOf({ lane, n }: Step): string {
  return `${lane}-${n}`
}

/** From the processes of the workload to the drill. */
export type Message =
  | { readonly kind: 'ready' }
  | { readonly kind: 'acknowledged'; readonly lane: string; readonly n: number }
  | { readonly kind: 'regressed'; readonly message: string }
  | { readonly kind: 'ended' }
