import assert from 'node:assert/strict'
import type { MemberReport, TaskId } from '../../engine/engine.ts'
import type { LeaseTable } from '../../engine/lease-table.ts'
import type { RunnerTest } from './options.ts'

const leaseMs = 1_000
const task: TaskId = { group: 'g', topic: 't', partition: 0 }
const other: TaskId = { group: 'g', topic: 't', partition: 1 }
const report: MemberReport = { inFlight: 1, retries: 2, handled: 3, commitMs: { p50: 4, p99: 5 } }

export interface LeaseTableUnderTest {
  readonly table: LeaseTable
  /** Lets this much time pass on the table's own clock. */
  advance(ms: number): Promise<void>
  dispose?(): Promise<void>
}

export interface LeaseTableConformanceOptions {
  readonly test: RunnerTest
  readonly name: string
  /** A new, empty table. */
  readonly open: () => LeaseTableUnderTest | Promise<LeaseTableUnderTest>
}

type TableCheck = (under: LeaseTableUnderTest) => Promise<void>

/** Proves the steps that the shared balancer is built on (`engine/lease-table.ts`). */
export function leaseTableConformance({ test, name, open }: LeaseTableConformanceOptions): void {
  for (const [title, check] of Object.entries(checks)) {
    test(`${name} lease table: ${title}`, async () => {
      const under = await open()
      try {
        await check(under)
      } finally {
        await under.dispose?.()
      }
    })
  }
}

const checks: Readonly<Record<string, TableCheck>> = {
  'a heartbeat makes a member, and the view is sorted and of one group': async ({ table }) => {
    await table.heartbeat('g', 'b', leaseMs, report)
    await table.heartbeat('elsewhere', 'c', leaseMs, report)
    assert.deepEqual(await table.heartbeat('g', 'a', leaseMs, report), { members: ['a', 'b'], leases: [] })
    await table.acquire({ ...task, group: 'elsewhere' }, 'c', leaseMs, 0)
    assert.deepEqual((await table.heartbeat('g', 'a', leaseMs, report)).leases, [])
  },

  'a free task is taken once, with the next epoch': async ({ table }) => {
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((member) => table.acquire(task, member, leaseMs, 0)),
    )
    assert.deepEqual(
      answers.filter((epoch) => epoch !== undefined),
      [1],
    )
    const { leases } = await table.heartbeat('g', 'x', leaseMs, report)
    assert.deepEqual(leases, [{ task, epoch: 1, owner: ['a', 'b', 'c'][answers.indexOf(1)] }])
  },

  'a task that is held is not taken, whatever epoch was observed': async ({ table }) => {
    await table.acquire(task, 'a', leaseMs, 0)
    for (const observed of [0, 1, 2]) {
      assert.equal(await table.acquire(task, 'b', leaseMs, observed), undefined)
      assert.equal(await table.acquire(task, 'a', leaseMs, observed), undefined)
    }
    assert.equal(await table.acquire(other, 'b', leaseMs, 0), 1)
  },

  'a released task keeps its epoch, and only who observed it can take it': async ({ table }) => {
    await table.acquire(task, 'a', leaseMs, 0)
    await table.release(task, 1)
    const { leases } = await table.heartbeat('g', 'b', leaseMs, report)
    assert.deepEqual(leases, [{ task, epoch: 1, owner: undefined }])
    assert.equal(await table.acquire(task, 'b', leaseMs, 0), undefined)
    assert.equal(await table.acquire(task, 'b', leaseMs, 2), undefined)
    assert.equal(await table.acquire(task, 'b', leaseMs, 1), 2)
  },

  'a release with an older epoch changes nothing': async ({ table }) => {
    await table.acquire(task, 'a', leaseMs, 0)
    await table.release(task, 1)
    await table.acquire(task, 'b', leaseMs, 1)
    await table.release(task, 1)
    await table.release(other, 1)
    const { leases } = await table.heartbeat('g', 'b', leaseMs, report)
    assert.deepEqual(leases, [{ task, epoch: 2, owner: 'b' }])
  },

  'a lease runs out unless its member’s heartbeat extends it': async ({ table, advance }) => {
    await table.acquire(task, 'a', leaseMs, 0)
    await table.acquire(other, 'b', leaseMs, 0)
    await advance(leaseMs * 0.7)
    await table.heartbeat('g', 'a', leaseMs, report)
    await advance(leaseMs * 0.7)
    const { leases } = await table.heartbeat('g', 'c', leaseMs, report)
    const owners = new Map(leases.map((row) => [row.task.partition, row.owner]))
    assert.deepEqual([owners.get(0), owners.get(1)], ['a', undefined])
    assert.equal(await table.acquire(task, 'c', leaseMs, 1), undefined)
    assert.equal(await table.acquire(other, 'c', leaseMs, 1), 2)
  },

  'a heartbeat extends nothing of other groups and members': async ({ table, advance }) => {
    const elsewhere = { ...task, group: 'elsewhere' }
    await table.acquire(elsewhere, 'a', leaseMs, 0)
    await table.acquire(task, 'b', leaseMs, 0)
    await advance(leaseMs * 0.7)
    await table.heartbeat('g', 'a', leaseMs, report)
    await advance(leaseMs * 0.7)
    assert.equal(await table.acquire(elsewhere, 'c', leaseMs, 1), 2)
    assert.equal(await table.acquire(task, 'c', leaseMs, 1), 2)
  },

  'members that leave or are silent for longer than their own lease are forgotten': async (under) => {
    const { table } = under
    await table.heartbeat('g', 'a', leaseMs, report)
    await table.heartbeat('g', 'b', leaseMs * 10, report)
    await table.heartbeat('g', 'c', leaseMs, report)
    await table.leave('g', 'c')
    await table.leave('g', 'never-was')
    assert.deepEqual((await table.heartbeat('g', 'd', leaseMs * 10, report)).members, ['a', 'b', 'd'])
    await under.advance(leaseMs * 1.2)
    assert.deepEqual((await table.heartbeat('g', 'd', leaseMs * 10, report)).members, ['b', 'd'])
  },
}
