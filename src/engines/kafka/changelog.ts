import type { StateChanges } from '../../engine/engine.ts'
import type { OutgoingRecord } from './delivery.ts'
import type { LogRecord } from './log-record.ts'

/**
 * A task's changelog is one partition of a compacted topic, written by the task's owner alone, in transactions:
 * one record for each state entry (its value, or nothing where it was deleted), and one for the task itself.
 */
export interface TaskRecord {
  readonly epoch: number
  readonly position: number | undefined
  readonly logId: string | undefined
  /** Name of the transaction that wrote this: how its fate is known after a lost answer. */
  readonly unit: string
}

export interface ChangelogBatch {
  readonly task: TaskRecord | undefined
  readonly entries: readonly StateEntryChange[]
}

export interface StateEntryChange {
  readonly store: string
  readonly key: string
  /** `undefined`: deleted. */
  readonly value: string | undefined
}

const taskKey = 'task'

export function entriesOf(state: readonly StateChanges[]): StateEntryChange[] {
  return state.flatMap(({ store, keys, values }) =>
    keys.map((key, index) => ({ store, key, value: values[index] })),
  )
}

/** The task's record comes last: who has read it has read its whole transaction. */
export function encodeChangelog(entries: readonly StateEntryChange[], task: TaskRecord): OutgoingRecord[] {
  const records = entries.map(({ store, key, value }): OutgoingRecord => {
    return { key: `[${JSON.stringify(store)},${JSON.stringify(key)}]`, value: value ?? null }
  })
  records.push({ key: taskKey, value: JSON.stringify({ version: 1, ...task }) })
  return records
}

export function decodeChangelog(records: readonly LogRecord[]): ChangelogBatch {
  let task: TaskRecord | undefined
  const entries: StateEntryChange[] = []
  for (const { key, value } of records) {
    const name = key ?? ''
    if (name === taskKey) task = taskOf(value)
    else {
      // Written by `encodeChangelog` alone.
      const [store, entry]: [string, string] = JSON.parse(name)
      entries.push({ store, key: entry, value: value?.toString() })
    }
  }
  return { task, entries }
}

function taskOf(value: Buffer | null): TaskRecord | undefined {
  if (value === null) return undefined
  const { epoch, position, logId, unit } = JSON.parse(value.toString())
  return { epoch, position, logId, unit }
}
