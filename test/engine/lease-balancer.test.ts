import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Lease, MemberReport, Membership, TaskId } from '../../src/engine/engine.ts'
import { LeaseBalancer } from '../../src/engine/lease-balancer.ts'
import type { GroupView, LeaseTable } from '../../src/engine/lease-table.ts'
import { MemoryLeases } from '../../src/engines/memory/memory-leases.ts'
import { isSemelError } from '../../src/errors.ts'
import type { Timers } from '../../src/platform/platform.ts'
import { ManualPlatform } from './manual-platform.ts'

const leaseMs = 1_000
const noReport: MemberReport = { inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } }

/** The memory engine's table with a network in front: calls can be made to fail or to hang. */
class RemoteTable implements LeaseTable {
  readonly #table: LeaseTable
  readonly #timers: Timers
  fault: 'none' | 'fail' | 'hang' = 'none'
  /** Answers take this long. */
  delayMs = 0
  heartbeats = 0
  /** What `acquire` grants is never heard of. */
  loseGrants = false

  constructor(table: LeaseTable, timers: Timers) {
    this.#table = table
    this.#timers = timers
  }

  heartbeat(group: string, member: string, ms: number, report: MemberReport): Promise<GroupView> {
    this.heartbeats += 1
    return this.#call(() => this.#table.heartbeat(group, member, ms, report))
  }
  acquire(task: TaskId, member: string, ms: number, observedEpoch: number): Promise<number | undefined> {
    return this.#call(async () => {
      const epoch = await this.#table.acquire(task, member, ms, observedEpoch)
      return this.loseGrants ? await new Promise<undefined>(() => undefined) : epoch
    })
  }
  release(task: TaskId, epoch: number): Promise<void> {
    return this.#call(() => this.#table.release(task, epoch))
  }
  leave(group: string, member: string): Promise<void> {
    return this.#call(() => this.#table.leave(group, member))
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    if (this.fault === 'fail') throw new Error('connection reset')
    if (this.fault === 'hang') return await new Promise<T>(() => undefined)
    const answer = await work()
    if (this.delayMs > 0) await new Promise<void>((resolve) => this.#timers.after(this.delayMs, resolve))
    return answer
  }
}

class Group {
  readonly platform = new ManualPlatform()
  readonly leases = new MemoryLeases()
  readonly grants = new Set<string>()

  constructor() {
    this.leases.useClock(this.platform.clock)
  }

  async join(name: string, topics: Record<string, number> = { orders: 4 }): Promise<Member> {
    const member = new Member(this, name)
    member.membership = await this.joinAs(member, topics)
    await this.platform.settle()
    return member
  }

  joinAs(member: Member, topics: Record<string, number>): Promise<Membership> {
    return LeaseBalancer.join({
      table: member.table,
      platform: this.platform,
      member: member.name,
      request: {
        group: 'billing',
        topics: Object.entries(topics).map(([topic, partitions]) => ({ topic, partitions })),
        leaseMs,
        report: () => noReport,
      },
      listener: member,
    })
  }
}

class Member {
  readonly #group: Group
  readonly name: string
  readonly table: RemoteTable
  readonly held = new Map<string, number>()
  readonly lost: string[] = []
  readonly handedOver: string[] = []
  /** Resolved by a test that wants the owner to take its time. */
  finish: Promise<void> | undefined
  membership: Membership | undefined
  trouble: Error | undefined

  constructor(group: Group, name: string) {
    this.#group = group
    this.name = name
    this.table = new RemoteTable(group.leases, group.platform.timers)
  }

  assigned(leases: readonly Lease[]): void {
    for (const { task, epoch } of leases) {
      const name = `${task.topic}/${task.partition}`
      const grant = `${name}@${epoch}`
      assert.ok(!this.#group.grants.has(grant), `${grant} was granted twice`)
      this.#group.grants.add(grant)
      assert.ok(!this.held.has(name), `${name} was assigned to its holder`)
      this.held.set(name, epoch)
    }
  }

  async revoked(leases: readonly Lease[], reason: 'handover' | 'lost'): Promise<void> {
    const names = leases.map(({ task }) => `${task.topic}/${task.partition}`)
    if (reason === 'handover') {
      this.handedOver.push(...names)
      await this.finish
    } else this.lost.push(...names)
    for (const name of names) this.held.delete(name)
  }

  troubled(error: Error | undefined): void {
    this.trouble = error
  }

  get count(): number {
    return this.held.size
  }
}

describe('LeaseBalancer', () => {
  test('a single member gets every task at its first heartbeat', async () => {
    const group = new Group()
    const a = await group.join('a')
    assert.deepEqual([...a.held.keys()], ['orders/0', 'orders/1', 'orders/2', 'orders/3'])
    await a.membership?.leave()
  })

  test('heartbeats that are answered late give no tasks, and the member is told why until one is in time', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 0 })
    const b = new Member(group, 'b')
    b.table.delayMs = leaseMs / 4 + 50
    const joining = group.joinAs(b, { orders: 4 })
    await group.platform.advance(leaseMs / 2)
    b.membership = await joining
    await group.platform.advance(5 * leaseMs)
    assert.equal(b.count, 0)
    assert.ok(isSemelError(b.trouble) && b.trouble.code === 'DEADLINE_EXCEEDED', String(b.trouble))
    assert.match(String(b.trouble.hint), /longer than a quarter of leaseMs/)
    b.table.delayMs = 0
    await group.platform.advance(2 * leaseMs)
    assert.equal(b.count, 4)
    assert.equal(b.trouble, undefined)
    for (const member of [a, b]) await member.membership?.leave()
  })

  test('members that come get their share within two beats, and only the surplus moves', async () => {
    const group = new Group()
    const a = await group.join('a')
    const b = await group.join('b')
    await group.platform.advance((leaseMs * 2) / 3)
    assert.deepEqual([a.count, b.count], [2, 2])
    const c = await group.join('c')
    await group.platform.advance((leaseMs * 2) / 3)
    assert.deepEqual([a.count, b.count, c.count], [2, 1, 1])
    assert.equal(a.handedOver.length + b.handedOver.length, 3, 'every move was necessary')
    assert.deepEqual([...a.lost, ...b.lost, ...c.lost], [])
    for (const member of [a, b, c]) await member.membership?.leave()
  })

  test('many members that start together race for no task', async () => {
    const group = new Group()
    const names = ['a', 'b', 'c']
    const members = await Promise.all(names.map((name) => group.join(name, { orders: 7 })))
    await group.platform.advance(leaseMs)
    assert.deepEqual(
      members.map((member) => member.count),
      [3, 2, 2],
    )
    for (const member of members) await member.membership?.leave()
  })

  test('a balanced group beats three times a lease and never moves a task', async () => {
    const group = new Group()
    const a = await group.join('a')
    const b = await group.join('b')
    await group.platform.advance(leaseMs)
    const before = { grants: group.grants.size, beats: a.table.heartbeats }
    await group.platform.advance(leaseMs * 20)
    assert.equal(group.grants.size, before.grants)
    assert.equal(a.table.heartbeats - before.beats, 60)
    await Promise.all([a.membership?.leave(), b.membership?.leave()])
  })

  test('leave hands over, releases, and the others take over at their next beat', async () => {
    const group = new Group()
    const a = await group.join('a')
    const b = await group.join('b')
    await group.platform.advance(leaseMs)
    await a.membership?.leave()
    assert.equal(a.count, 0)
    assert.equal(a.handedOver.length, 4)
    assert.deepEqual(a.lost, [])
    await group.platform.advance(leaseMs / 3)
    assert.equal(b.count, 4)
    await b.membership?.leave()
    assert.equal(group.platform.armedTimers, 0, 'no timer is left behind')
    assert.deepEqual(group.leases.members(), [])
  })

  test('renewals go on while an owner takes its time to leave (Z1: nobody takes over meanwhile)', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 1 })
    const b = await group.join('b', { orders: 1 })
    let finish = (): void => undefined
    a.finish = new Promise((resolve) => {
      finish = resolve
    })
    const left = a.membership?.leave()
    await group.platform.advance(leaseMs * 5)
    assert.deepEqual([a.count, b.count], [1, 0])
    finish()
    await group.platform.settle()
    await left
    await group.platform.advance(leaseMs / 3)
    assert.deepEqual([a.count, b.count, b.held.get('orders/0')], [0, 1, 2])
    await b.membership?.leave()
  })

  test('an owner that never finishes is told that it lost, and leave ends (U3)', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 1 })
    a.finish = new Promise(() => undefined)
    let left = false
    void a.membership?.leave().then(() => {
      left = true
    })
    await group.platform.advance(59_000)
    assert.deepEqual([left, a.lost], [false, []])
    await group.platform.advance(2_000)
    assert.deepEqual([left, a.lost], [true, ['orders/0']])
  })

  test('a member that dies loses its tasks to the others after one lease (V2)', async () => {
    const group = new Group()
    const a = await group.join('a')
    const b = await group.join('b')
    await group.platform.advance(leaseMs)
    a.table.fault = 'hang'
    await group.platform.advance(leaseMs)
    assert.equal(a.lost.length, 2, 'it stopped by its own clock')
    await group.platform.advance(leaseMs / 2)
    assert.equal(b.count, 4)
    const again = await group.join('a-restarted')
    await group.platform.advance(leaseMs)
    assert.deepEqual([b.count, again.count], [2, 2])
    await Promise.all([b.membership?.leave(), again.membership?.leave()])
  })

  test('our own clock gives up before the table does, counted from the start of the last good beat', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 1 })
    await group.platform.advance(leaseMs)
    const beats = a.table.heartbeats
    a.table.fault = 'fail'
    await group.platform.advance(leaseMs - leaseMs / 3)
    assert.deepEqual(a.lost, [], 'failed beats alone are nothing')
    assert.ok(a.table.heartbeats - beats >= 2, 'and it keeps trying')
    await group.platform.advance(leaseMs / 3)
    assert.deepEqual(a.lost, ['orders/0'])
    a.table.fault = 'none'
    await group.platform.advance(leaseMs / 3)
    assert.equal(a.held.get('orders/0'), 2, 'it comes back with a new epoch')
    await a.membership?.leave()
  })

  test('a slow answer renews from when it was asked for, and an answer too late for its beat still renews', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 1 })
    a.table.delayMs = 300
    await group.platform.advance(leaseMs * 10)
    assert.deepEqual([a.count, a.lost], [1, []], 'slower than a beat may be, faster than a lease')
    a.table.delayMs = 0
    await group.platform.advance(leaseMs)
    a.table.delayMs = 200
    const beats = a.table.heartbeats
    while (a.table.heartbeats === beats) await group.platform.advance(1)
    a.table.fault = 'hang'
    await group.platform.advance(leaseMs - 2)
    assert.deepEqual(a.lost, [])
    await group.platform.advance(3)
    assert.deepEqual(a.lost, ['orders/0'])
  })

  test('two failed beats change nothing', async () => {
    const group = new Group()
    const a = await group.join('a')
    await group.platform.advance(leaseMs / 2)
    a.table.fault = 'fail'
    await group.platform.advance(leaseMs / 2)
    a.table.fault = 'none'
    await group.platform.advance(leaseMs * 2)
    assert.deepEqual([a.count, a.lost, group.grants.size], [4, [], 4])
    await a.membership?.leave()
  })

  test('a lease that the table gave to somebody else is lost at the next beat', async () => {
    const group = new Group()
    const a = await group.join('a', { orders: 1 })
    const task = { group: 'billing', topic: 'orders', partition: 0 }
    await group.leases.release(task, 1)
    await group.leases.acquire(task, 'thief', leaseMs * 10, 1)
    await group.platform.advance(leaseMs / 3)
    assert.deepEqual([a.lost, a.count], [['orders/0'], 0])
    await a.membership?.leave()
  })

  test('leases whose answers got lost are released and taken again with a new epoch', async () => {
    const group = new Group()
    const a = new Member(group, 'a')
    a.table.loseGrants = true
    a.membership = await group.joinAs(a, { orders: 2 })
    await group.platform.advance(leaseMs * 3)
    assert.ok(group.leases.rows().every(({ owner }) => owner === 'a'))
    assert.equal(a.count, 0)
    a.table.loseGrants = false
    await group.platform.advance(leaseMs)
    assert.equal(a.count, 2)
    for (const { task, epoch } of group.leases.rows()) {
      assert.equal(a.held.get(`orders/${task.partition}`), epoch)
      assert.ok(epoch > 1)
    }
    await a.membership.leave()
  })

  test('tasks of a topic that not all members know are served all the same', async () => {
    const group = new Group()
    const old = await group.join('old', { orders: 4 })
    const young = await group.join('young', { orders: 4, refunds: 4 })
    await group.platform.advance(leaseMs * 3)
    assert.equal(old.count + young.count, 8)
    const grants = group.grants.size
    await group.platform.advance(leaseMs * 10)
    assert.equal(group.grants.size, grants, 'and they stay where they are')
    await Promise.all([old.membership?.leave(), young.membership?.leave()])
  })

  test('what is granted while leaving is given back unseen', async () => {
    const group = new Group()
    const a = new Member(group, 'a')
    a.table.delayMs = 50
    const joining = group.joinAs(a, { orders: 3 })
    await group.platform.advance(60)
    const membership = await joining
    const left = membership.leave()
    await group.platform.advance(leaseMs)
    await left
    assert.deepEqual([a.count, group.grants.size], [0, 0])
    const rows = group.leases.rows()
    assert.deepEqual(
      rows.map(({ epoch, owner }) => [epoch, owner]),
      [1, 1, 1].map((epoch) => [epoch, undefined]),
    )
  })

  test('leave during a beat, and leave twice', async () => {
    const group = new Group()
    const a = new Member(group, 'a')
    const membership = await group.joinAs(a, { orders: 3 })
    const [first, second] = [membership.leave(), membership.leave()]
    await group.platform.settle()
    await Promise.all([first, second])
    assert.equal(a.count, 0)
    assert.ok(group.leases.rows().every(({ owner }) => owner === undefined))
    assert.equal(group.platform.armedTimers, 0)
  })

  test('join rejects if the table cannot be reached, and leaves nothing behind', async () => {
    const group = new Group()
    const a = new Member(group, 'a')
    a.table.fault = 'fail'
    await assert.rejects(group.joinAs(a, { t: 1 }), /connection reset/)
    assert.equal(group.platform.armedTimers, 0)
  })

  test('members come and go at random: no epoch is granted twice, and in the end all is balanced', async () => {
    const group = new Group()
    const alive = new Map<string, Member>()
    const random = group.platform.random
    for (let step = 0; step < 60; step++) {
      const name = `m${random.uint32() % 5}-${step}`
      const victim = [...alive.values()][random.uint32() % Math.max(1, alive.size)]
      const dice = random.uint32() % 4
      if (dice <= 1 && alive.size < 5) alive.set(name, await group.join(name, { orders: 6, refunds: 5 }))
      else if (dice === 2 && victim) {
        alive.delete(victim.name)
        await victim.membership?.leave()
      } else if (victim) {
        alive.delete(victim.name)
        victim.table.fault = 'hang'
      }
      await group.platform.advance(random.uint32() % (leaseMs * 2))
    }
    if (alive.size === 0) alive.set('last', await group.join('last', { orders: 6, refunds: 5 }))
    await group.platform.advance(leaseMs * 5)
    const counts = [...alive.values()].map((member) => member.count)
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      11,
    )
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
  })
})
