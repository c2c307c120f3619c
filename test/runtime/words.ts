import assert from 'node:assert/strict'
import { type Bus, type ConsumeOptions, type Handler, openBus, topic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

/** What the tests of consuming share: one topic in, one out, and quick retries. */
export interface Word {
  readonly key: string
  readonly n: number
}

export const words = topic<Word>('words', { partitions: 2, key: (word) => word.key })
export const lane = topic<Word>('lane', { partitions: 1, key: (word) => word.key })
export const counts = topic<{ key: string; n: number; count: number }>('counts', {
  partitions: 2,
  key: (count) => count.key,
})
export const topics = [words, lane, counts]

export const quick = { attempts: 50, baseDelayMs: 1, maxDelayMs: 4 } as const
export const shortLease = { leaseMs: 600 } as const

export function openOn(engine: Parameters<typeof openBus>[0]['engine'], member?: string): Promise<Bus> {
  return openBus({ engine, topics, member })
}

export function wordsOf(keys: number, perKey: number): Word[] {
  return Array.from({ length: keys * perKey }, (_, i) => ({ key: `k${i % keys}`, n: Math.floor(i / keys) }))
}

/** Counts per key in state and emits each count: what came twice or never shows in the counts. */
export const countAndEmit: Handler<Word> = async (event, tx) => {
  const state = tx.state<number>('count')
  const count = ((await state.get()) ?? 0) + 1
  await state.set(count)
  tx.emit(counts, { key: event.data.key, n: event.data.n, count })
}

export async function untilCounted(bus: Bus, events: number, deadlineMs = 30_000): Promise<void> {
  await until(
    async () => {
      const { topics } = await bus.status()
      const counted = topics.find(({ topic }) => topic === 'counts')
      return (counted?.partitions ?? []).reduce((sum, { end }) => sum + end, 0) >= events
    },
    deadlineMs,
    `${events} counts`,
  )
}

/** X1: each event was counted once, in the order of its key. */
export async function requireExactCounts(bus: Bus, keys: number, perKey: number): Promise<void> {
  const emitted = (await readAll(bus, counts)).map(({ data }) => data)
  assert.equal(emitted.length, keys * perKey)
  for (let k = 0; k < keys; k++) {
    const own = emitted.filter(({ key }) => key === `k${k}`)
    assert.deepEqual(
      own.map(({ n, count }) => [n, count]),
      own.map((_, i) => [i, i + 1]),
    )
  }
}

export async function untilCaughtUp(bus: Bus, group: string): Promise<void> {
  await until(
    async () => {
      const found = (await bus.status()).groups.find((candidate) => candidate.group === group)
      return found !== undefined && found.tasks.length > 0 && found.lagEvents === 0
    },
    30_000,
    `${group} has caught up`,
  )
}

export function group(name: string, more: Partial<ConsumeOptions> = {}): ConsumeOptions {
  return { group: name, retry: quick, ...shortLease, ...more }
}
