import assert from 'node:assert/strict'
import type { Instance } from './instance.ts'
import { refuses } from './records.ts'
import { type Case, check, checkIf } from './suite.ts'
import type { TestBed } from './test-bed.ts'
import { waitUntil } from './test-bed.ts'
import type { TestMember } from './test-member.ts'

const needs = { instances: 'many' } as const
/** Also on a busy machine several heartbeats long: who loses tasks shall be who was frozen, and nobody else. */
const leaseMs = 1_000
const partitions = 4
const topics = { orders: partitions }

async function instances(bed: TestBed, count: number): Promise<readonly Instance[]> {
  const list: Instance[] = []
  for (let i = 0; i < count; i++) {
    const instance = await bed.instance()
    await instance.declare({ partitions })
    list.push(instance)
  }
  return list
}

/**
 * Every task has one owner among these, and shares differ by at most one. Who lost a task while it did not run believes in
 * it until it is told: that is no second owner (its commits are fenced), so it is waited for.
 */
async function balanced(...members: readonly TestMember[]): Promise<void> {
  await waitUntil('all tasks are evenly owned', () => {
    const counts = members.map((member) => member.held.size)
    const owned = new Set(members.flatMap((member) => [...member.held.keys()]))
    const total = counts.reduce((sum, count) => sum + count, 0)
    return owned.size === partitions && total === partitions && Math.max(...counts) - Math.min(...counts) <= 1
  })
}

function grantsOnlyGrow(members: readonly TestMember[]): void {
  const seen = new Set<string>()
  for (const member of members) {
    const last = new Map<string, number>()
    for (const { task, epoch } of member.granted) {
      const name = `${task.topic}/${task.partition}`
      assert.ok(!seen.has(`${name}@${epoch}`), `${name}@${epoch} was granted twice`)
      seen.add(`${name}@${epoch}`)
      assert.ok(epoch > (last.get(name) ?? 0), `the epoch of ${name} grows`)
      last.set(name, epoch)
    }
  }
}

export const ownershipTests: readonly Case[] = [
  check('a single member gets every partition of its topics', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions: 3 }, { name: 'invoices', partitions: 2 })
    const member = await one.join('billing', { orders: 3, invoices: 2 })
    await member.holds(5)
    assert.deepEqual([...member.held.keys()].sort(), [
      'invoices/0',
      'invoices/1',
      'orders/0',
      'orders/1',
      'orders/2',
    ])
    for (const { task } of member.held.values()) assert.equal(task.group, 'billing')
    await member.leave()
    assert.equal(member.held.size, 0)
    assert.ok(member.revocations.every(({ reason }) => reason === 'handover'))
    await member.leave()
  }),

  check('groups do not share their tasks', async (bed) => {
    const one = await bed.instance()
    await one.declare({ partitions })
    const first = await one.join('billing', topics)
    const second = await one.join('shipping', topics)
    await first.holds(partitions)
    await second.holds(partitions)
    await first.leave()
    assert.equal(second.held.size, partitions)
  }),

  check('coming back brings a greater epoch, also after reopening (Z1)', async (bed) => {
    let [one] = await instances(bed, 1)
    const epochs: number[] = []
    for (let round = 0; round < 3; round++) {
      const member = await one!.join('billing', topics)
      await member.holds(partitions)
      epochs.push(member.lease('orders', 2).epoch)
      await member.leave()
      if (round === 1) one = await bed.reopen(one!)
    }
    assert.ok(epochs[1]! > epochs[0]! && epochs[2]! > epochs[1]!, epochs.join())
  }),

  check(
    'a lease given back fences its last unit; the task comes again with a greater epoch (U1, Z1)',
    async (bed) => {
      const [one] = await instances(bed, 1)
      const member = await one!.join('billing', topics)
      await member.holds(partitions)
      const before = member.lease('orders', 2)
      await one!.commit(before, undefined, 7)

      member.giveBack(before)
      await member.holds(partitions)

      const lease = member.lease('orders', 2)
      assert.ok(lease.epoch > before.epoch)
      assert.deepEqual(member.revocations, [])
      await refuses('FENCED', () => one!.commit(before, 7, 7))
      assert.equal((await one!.engine.load(lease)).position, 7)
      member.membership?.giveBack(before)
      await one!.commit(lease, 7, 8)
    },
  ),

  check('an owner that is asked to hand over can still commit', async (bed) => {
    const [one] = await instances(bed, 1)
    const member = await one!.join('billing', topics)
    await member.holds(partitions)
    member.beforeHandover = (lease) => one!.commit(lease, undefined, 7)
    await member.leave()
    const lease = await one!.lease('billing', 'orders', partitions)
    assert.equal((await one!.engine.load(lease)).position, 7)
  }),
]

export const manyMemberTests: readonly Case[] = [
  checkIf(needs, 'tasks are spread evenly over members that come and go', async (bed) => {
    const [one, two, three] = await instances(bed, 3)
    const a = await one!.join('billing', topics, leaseMs)
    await balanced(a)
    const b = await two!.join('billing', topics, leaseMs)
    await balanced(a, b)
    const c = await three!.join('billing', topics, leaseMs)
    await balanced(a, b, c)
    await a.leave()
    assert.equal(a.held.size, 0)
    await balanced(b, c)
    await b.leave()
    await balanced(c)
    grantsOnlyGrow([a, b, c])
  }),

  checkIf(needs, 'a task is given on only after its owner has finished', async (bed) => {
    const [one, two] = await instances(bed, 2)
    const a = await one!.join('billing', topics, leaseMs)
    await a.holds(partitions)
    const overlaps: string[] = []
    let finishing = 0
    const b = await two!.join('billing', topics, leaseMs)
    a.beforeHandover = async (lease) => {
      finishing += 1
      await waitUntil('two heartbeats of the other', async () => {
        if (b.held.has(`orders/${lease.task.partition}`)) overlaps.push(`orders/${lease.task.partition}`)
        const { members } = await two!.engine.status()
        return members.length === 2
      })
      await one!.commit(lease, undefined, 3)
    }
    await balanced(a, b)
    assert.equal(finishing, partitions / 2)
    assert.deepEqual(overlaps, [])
    for (const lease of b.held.values()) assert.equal((await two!.engine.load(lease)).position, 3)
    grantsOnlyGrow([a, b])
  }),

  checkIf(
    needs,
    'a member that is not run for a while loses its tasks, and its commits are fenced (Z1, V2)',
    async (bed) => {
      const [one, two] = await instances(bed, 2)
      const a = await one!.join('billing', topics, leaseMs)
      const b = await two!.join('billing', topics, leaseMs)
      await balanced(a, b)
      const stale = [...a.held.values()]
      one!.platform.freeze()
      await b.holds(partitions)
      for (const lease of stale) {
        await refuses('FENCED', () =>
          one!.commit(lease, undefined, 1, { state: [{ store: 's', keys: ['k'], values: ['v'] }] }),
        )
        const { position } = await two!.engine.load(b.lease('orders', lease.task.partition))
        assert.equal(position, undefined)
        assert.deepEqual(await two!.state(lease.task, 's'), {})
      }
      one!.platform.thaw()
      const lost = () => a.revocations.filter(({ reason }) => reason === 'lost').map(({ lease }) => lease)
      await waitUntil('it is told', () => lost().length > 0)
      assert.deepEqual(lost(), stale)
      await balanced(a, b)
      grantsOnlyGrow([a, b])
    },
  ),

  checkIf(needs, 'members come, go and stall in turns: each epoch is granted once (Z1)', async (bed) => {
    const list = await instances(bed, 3)
    const joined: TestMember[] = []
    const active: (TestMember | undefined)[] = [undefined, undefined, undefined]
    for (let step = 0; step < 9; step++) {
      const index = (step * 2) % 3
      const member = active[index]
      if (member === undefined) {
        const fresh = await list[index]!.join('billing', topics, leaseMs)
        active[index] = fresh
        joined.push(fresh)
      } else if (step % 2 === 0) {
        active[index] = undefined
        await member.leave()
      } else {
        list[index]!.platform.freeze()
        const others = active.filter((other) => other !== undefined && other !== member)
        if (others.length > 0) {
          await waitUntil('others took over', () => {
            return others.reduce((sum, other) => sum + (other?.held.size ?? 0), 0) === partitions
          })
        }
        list[index]!.platform.thaw()
      }
      await balanced(...active.filter((each) => each !== undefined))
    }
    grantsOnlyGrow(joined)
  }),
]
