import { assert } from '../errors.ts'
import type { TaskId } from './engine.ts'
import type { LeaseRow } from './lease-table.ts'

/** What one member knows when it decides. Rows are all tasks it can serve, in the order of its request. */
export interface BalanceInput {
  readonly member: string
  /** Live members, sorted, `member` included. */
  readonly members: readonly string[]
  readonly rows: readonly LeaseRow[]
  /** Whether we hold the task, and whether we are about to hand it over. */
  readonly held: (task: TaskId) => boolean
  readonly leaving: (task: TaskId) => boolean
  /** Taken beyond our quota because nobody else did: not counted for a while. */
  readonly adopted: (task: TaskId) => boolean
  /** Free for so long that whoever should have taken it will not. */
  readonly neglected: (task: TaskId) => boolean
}

export interface Balance {
  /** Ours, beyond our quota: hand over. */
  readonly surplus: readonly LeaseRow[]
  /** Said to be ours, but we do not hold them: release, then they are free. */
  readonly leftovers: readonly LeaseRow[]
  /** Free, and ours to take by quota. */
  readonly wanted: readonly LeaseRow[]
  /** Free, beyond our quota, and nobody takes them. */
  readonly neglected: readonly LeaseRow[]
  /** Every task has an owner and no member has more than its quota. */
  readonly balanced: boolean
}

/**
 * The fair share: with P tasks and M members, the first P mod M members (by name) have one more than the others.
 * Sticky: whoever is within its quota keeps what it has, so tasks move only because a quota changed.
 */
export function planBalance(input: BalanceInput): Balance {
  const { member, members, rows } = input
  const index = members.indexOf(member)
  assert(index >= 0, 'a heartbeat makes its sender a live member')
  const quota = quotaOf(index, members.length, rows.length)
  const counted = rows.filter(({ task }) => input.held(task) && !input.leaving(task) && !input.adopted(task))
  const free = rows.filter(
    ({ task, owner }) => !input.held(task) && (owner === undefined || owner === member),
  )
  const wanted = rotate(free, firstTaskOf(index, members.length, rows.length)).slice(
    0,
    Math.max(0, quota - counted.length),
  )
  return {
    surplus: counted.slice(quota),
    leftovers: free.filter(({ owner }) => owner === member),
    wanted,
    neglected: free.filter((row) => !wanted.includes(row) && input.neglected(row.task)),
    balanced: isBalanced(rows, members),
  }
}

function quotaOf(index: number, members: number, tasks: number): number {
  return Math.floor(tasks / members) + (index < tasks % members ? 1 : 0)
}

/** Members look for free tasks at different places, so that they seldom race for the same one. */
function firstTaskOf(index: number, members: number, tasks: number): number {
  return index * Math.floor(tasks / members) + Math.min(index, tasks % members)
}

function rotate<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

function isBalanced(rows: readonly LeaseRow[], members: readonly string[]): boolean {
  const owned = new Map<string, number>()
  for (const { owner } of rows) {
    if (owner === undefined) return false
    owned.set(owner, (owned.get(owner) ?? 0) + 1)
  }
  return members.every((name, index) => {
    return (owned.get(name) ?? 0) <= quotaOf(index, members.length, rows.length)
  })
}
