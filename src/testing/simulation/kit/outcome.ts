import { isDeepStrictEqual } from 'node:util'
import { reservedStorePrefix, storeNames } from '../../../engine/store-names.ts'
import type { MemoryLog, MemoryTask } from '../../../engines/memory/memory-log.ts'
import { decodeBatch } from '../../../event/batch-codec.ts'
import { decodeDeadLetter } from '../../../features/dead-letter-record.ts'
import type { Outcome, Scenario } from './scenario.ts'

const entriesMax = 1_000_000
const shownCharsMax = 300

/** Reads what a run left behind straight from the storage. */
export function outcomeOf(log: MemoryLog, { topics, outside }: Scenario): Outcome {
  const state: Record<string, Record<string, unknown>> = {}
  for (const task of log.tasks) {
    for (const [store, values] of task.stores) {
      if (store.startsWith(reservedStorePrefix)) continue
      const name = `${task.task.group}/${store}`
      const own = state[name] ?? {}
      state[name] = own
      for (const { key, value } of values.scan(undefined, entriesMax)) own[key] = JSON.parse(value)
    }
  }
  return {
    state,
    events: Object.fromEntries(topics.map(({ name }) => [name, dataOf(log, name)])),
    deadLetters: log.tasks.flatMap(lettersOf).sort(),
    outside: structuredClone(outside?.()),
  }
}

function dataOf(log: MemoryLog, topic: string): unknown[] {
  const data = log
    .topic(topic)
    .partitions.flatMap(({ events }) => events.map(({ encoded }) => decodeBatch(encoded)[0]!.data))
  return data
    .map((value) => JSON.stringify(value))
    .sort()
    .map((text): unknown => JSON.parse(text))
}

function lettersOf({ task, stores }: MemoryTask): string[] {
  const letters = stores.get(storeNames.deadLetters)?.scan(undefined, entriesMax) ?? []
  return letters.map(({ key, value }) => {
    const { event } = decodeDeadLetter(task.topic, task.partition, key, value)
    return `${task.group} ${task.topic} ${event.id}`
  })
}

/** How a run differs from the undisturbed one, a line for each difference. */
export function differences(expected: Outcome, found: Outcome): string[] {
  return [
    ...Object.keys({ ...expected.state, ...found.state }).flatMap((store) => {
      const [should, does] = [expected.state[store] ?? {}, found.state[store] ?? {}]
      return Object.keys({ ...should, ...does }).flatMap((key) => {
        return difference(`state ${store} of key ${JSON.stringify(key)}`, should[key], does[key])
      })
    }),
    ...Object.keys(expected.events).flatMap((topic) => {
      return difference(`events of ${topic}`, expected.events[topic], found.events[topic])
    }),
    ...difference('dead letters', expected.deadLetters, found.deadLetters),
    ...difference('outside', expected.outside, found.outside),
  ]
}

function difference(what: string, expected: unknown, found: unknown): string[] {
  if (isDeepStrictEqual(expected, found)) return []
  if (Array.isArray(expected) && Array.isArray(found)) return [listDifference(what, expected, found)]
  return [`${what}: ${shown(found)} instead of ${shown(expected)}`]
}

function listDifference(what: string, expected: readonly unknown[], found: readonly unknown[]): string {
  const missing = without(expected, found)
  const more = without(found, expected)
  const parts = [
    ...(missing.length === 0 ? [] : [`${missing.length} missing: ${shown(missing)}`]),
    ...(more.length === 0 ? [] : [`${more.length} too many: ${shown(more)}`]),
  ]
  return `${what}: ${parts.length === 0 ? 'in another order' : parts.join('; ')}`
}

/** Elements of `list` that `others` has fewer of. */
function without(list: readonly unknown[], others: readonly unknown[]): unknown[] {
  const counts = new Map<string, number>()
  for (const other of others) counts.set(JSON.stringify(other), (counts.get(JSON.stringify(other)) ?? 0) + 1)
  return list.filter((element) => {
    const left = counts.get(JSON.stringify(element)) ?? 0
    counts.set(JSON.stringify(element), left - 1)
    return left <= 0
  })
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}…` : text
}
