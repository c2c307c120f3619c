import type { BusStatus } from '../../../status.ts'
import { stores, type Total } from './consumer.ts'
import type { Member, Run } from './run.ts'
import { groups } from './topics.ts'

const watchMs = 50
const entriesMax = 1_000

/**
 * Waits until every group has handled everything and every dead letter was redriven. Answers what is still open
 * when the time is over.
 */
export async function drained(run: Run, { bus }: Member, withinMs: number): Promise<string | undefined> {
  const { scheduler } = run.cluster
  const due = scheduler.nowMs + withinMs
  for (;;) {
    const { groups: known } = await bus.status()
    const lag = Object.values(groups).reduce((sum, name) => sum + lagOf(known, name), 0)
    const open = lag > 0 ? [] : await openLetters(run, bus)
    if (lag === 0 && open.length === 0) return undefined
    if (scheduler.nowMs > due) {
      return lag > 0
        ? `${lag} events were not handled ${withinMs} ms after the last fault (V1)`
        : `${open.length} dead letters were not redriven within ${withinMs} ms (V1)`
    }
    for (const { group, letter } of open) await bus.deadLetters(group).redrive([letter])
    await scheduler.sleep(watchMs * (1 + open.length))
  }
}

/** A group that has taken nothing yet is behind by nobody knows how much. */
function lagOf(known: BusStatus['groups'], name: string): number {
  const group = known.find(({ group }) => group === name)
  return group === undefined || group.tasks.length === 0 ? 1 : group.lagEvents
}

/** Open dead letters of all groups. */
export async function openLetters(run: Run, bus: Member['bus']) {
  const open = []
  for (const group of Object.values(groups)) {
    const letters = await bus.deadLetters(group).list({ topic: run.topics.input.name, limit: entriesMax })
    open.push(...letters.map((letter) => ({ group, letter })))
  }
  return open
}

/** What the exactly-once group's state says about each key, for the checker to compare with the log (X1). */
export async function recordLedger({ cluster, knobs, topics }: Run, { bus }: Member): Promise<void> {
  const { name: topic } = topics.input
  const client = cluster.notes
  for (let partition = 0; partition < knobs.partitions; partition++) {
    const task = { group: groups.exactlyOnce, topic, partition }
    const request = { task, store: stores.live, after: undefined, limit: entriesMax }
    for (const { key, value } of await bus.engine.scanState(request)) {
      const { sum, count }: Total = JSON.parse(value)
      client.observed('ledger', { sink: stores.live, g: groups.exactlyOnce, topic, key, sum, count })
    }
  }
}
