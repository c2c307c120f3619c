import type { Bus } from '../index.ts'
import type { GithubDelivery } from './github-deliveries.ts'
import { openNaiveDatabase } from './naive-counter.ts'
import { deliveries, summaries } from './topics.ts'

/** How one way of counting did against the truth. */
export interface Score {
  readonly right: number
  readonly lost: number
  readonly doubled: number
  /** Events handled after a later event of the same repository. */
  readonly outOfOrder: number
}

/** Where each delivery must be counted: recomputed from the input alone. */
export function truthOf(input: readonly GithubDelivery[]): Map<string, { repository: string; type: string }> {
  const truth = new Map<string, { repository: string; type: string }>()
  for (const { deliveryId, repository, type } of input) truth.set(deliveryId, { repository, type })
  return truth
}

/** Offset of each delivery in the log, which is the order that must be kept per repository. */
export async function logOrder(bus: Bus): Promise<Map<string, number>> {
  const offsets = new Map<string, number>()
  for await (const event of bus.read(deliveries)) offsets.set(event.id, event.offset)
  return offsets
}

/** Judges the summaries: each delivery counted once, counts rising by one, order per repository kept. */
export async function scoreSemel(
  bus: Bus,
  truth: ReturnType<typeof truthOf>,
  order: Map<string, number>,
): Promise<Score> {
  const seen = new Map<string, number>()
  const lastOffset = new Map<string, number>()
  const counts = new Map<string, number>()
  let outOfOrder = 0
  let miscounted = 0
  for await (const { data } of bus.read(summaries)) {
    const name = `${data.repository} ${data.type}`
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    const expected = truth.get(data.deliveryId)
    if (data.count !== count || expected?.repository !== data.repository || expected.type !== data.type)
      miscounted++
    seen.set(data.deliveryId, (seen.get(data.deliveryId) ?? 0) + 1)
    const offset = order.get(data.deliveryId) ?? -1
    if (offset < (lastOffset.get(data.repository) ?? -1)) outOfOrder++
    else lastOffset.set(data.repository, offset)
  }
  return { ...tally(truth.keys(), seen, miscounted), outOfOrder }
}

/** Judges the naive way by the rows it left. */
export function scoreNaive(
  file: string,
  truth: ReturnType<typeof truthOf>,
  order: Map<string, number>,
): Score {
  const partitionOffsets = new Map<string, number>()
  const database = openNaiveDatabase(file)
  const lastOffset = new Map<string, number>()
  let outOfOrder = 0
  for (const row of database
    .prepare('select repository, log_offset, partition from handled order by n')
    .all()) {
    const place = `${row.partition}/${row.log_offset}`
    partitionOffsets.set(place, (partitionOffsets.get(place) ?? 0) + 1)
    const repository = String(row.repository)
    const offset = Number(row.log_offset)
    if (offset < (lastOffset.get(repository) ?? -1)) outOfOrder++
    else lastOffset.set(repository, offset)
  }
  database.close()
  const doubled = [...partitionOffsets.values()].reduce((sum, times) => sum + times - 1, 0)
  const lost = Math.max(0, order.size - partitionOffsets.size)
  return { right: truth.size - lost - countAbove(partitionOffsets.values(), 1), lost, doubled, outOfOrder }
}

function tally(
  expected: Iterable<string>,
  seen: ReadonlyMap<string, number>,
  miscounted: number,
): Omit<Score, 'outOfOrder'> {
  let right = 0
  let lost = 0
  let doubled = 0
  for (const id of expected) {
    const times = seen.get(id) ?? 0
    if (times === 0) lost++
    else if (times === 1) right++
    else doubled += times - 1
  }
  return { right: right - miscounted, lost, doubled: doubled + miscounted }
}

function countAbove(values: Iterable<number>, bound: number): number {
  let count = 0
  for (const value of values) if (value > bound) count++
  return count
}
