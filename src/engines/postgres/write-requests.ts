import type { AppendGroup, AppendResult, Unit } from '../../engine/engine.ts'
import { bytesOf, type EncodedAppend, encodeAppend } from './encoded-rows.ts'

interface Waiting<Answer> {
  readonly appends: readonly EncodedAppend[]
  readonly bytes: number
  resolve(answer: Answer): void
  reject(error: unknown): void
}

export interface AppendRequest extends Waiting<AppendResult> {
  readonly kind: 'append'
  readonly calls: number
  readonly failuresSeen: number
  readonly flush: boolean
}

export interface UnitRequest extends Waiting<void> {
  readonly kind: 'unit'
  readonly unit: Unit
}

/** What waits for the writer. Encoded, so nothing in it can change any more. */
export type WriteRequest = AppendRequest | UnitRequest

/** Encodes before anything is awaited. */
export function appendRequest(
  { calls, batches, failuresSeen }: AppendGroup,
  flush: boolean,
): { request: AppendRequest; answer: Promise<AppendResult> } {
  const { promise, resolve, reject } = Promise.withResolvers<AppendResult>()
  const appends = batches.map(encodeAppend)
  const bytes = appends.reduce((sum, append) => sum + bytesOf(append), 0)
  const request = { kind: 'append', appends, bytes, calls, failuresSeen, flush, resolve, reject } as const
  return { request, answer: promise }
}

export function unitRequest(unit: Unit): { request: UnitRequest; answer: Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const appends = unit.appends.map(encodeAppend)
  let bytes = appends.reduce((sum, append) => sum + bytesOf(append), 0)
  for (const { values } of unit.state) for (const value of values) bytes += value?.length ?? 0
  return { request: { kind: 'unit', unit, appends, bytes, resolve, reject }, answer: promise }
}
