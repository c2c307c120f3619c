import assert from 'node:assert/strict'
import type { Lease, MemberReport, Membership, OwnershipListener } from '../../engine/engine.ts'
import { waitUntil } from './test-bed.ts'

export type RevokeReason = 'handover' | 'lost'

/** A member of a group that writes down what it is told. */
export class TestMember implements OwnershipListener {
  readonly name: string
  readonly group: string
  readonly held = new Map<string, Lease>()
  /** Every lease ever assigned, in order. */
  readonly granted: Lease[] = []
  readonly revocations: { readonly lease: Lease; readonly reason: RevokeReason }[] = []
  /** What the owner still does before it lets go. */
  beforeHandover: (lease: Lease) => Promise<void> = async () => undefined
  report: MemberReport = { inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } }
  troubled: (error: Error | undefined) => void = () => undefined
  membership: Membership | undefined

  constructor(name: string, group: string) {
    this.name = name
    this.group = group
  }

  assigned(leases: readonly Lease[]): void {
    for (const lease of leases) {
      assert.ok(!this.held.has(nameOf(lease)), `${nameOf(lease)} was assigned to its holder`)
      assert.ok(Number.isSafeInteger(lease.epoch) && lease.epoch >= 1, `epoch ${lease.epoch}`)
      this.held.set(nameOf(lease), lease)
      this.granted.push(lease)
    }
  }

  async revoked(leases: readonly Lease[], reason: RevokeReason): Promise<void> {
    for (const lease of leases) {
      this.revocations.push({ lease, reason })
      if (reason === 'handover') await this.beforeHandover(lease)
      this.held.delete(nameOf(lease))
    }
  }

  lease(topic: string, partition: number): Lease {
    const lease = this.held.get(`${topic}/${partition}`)
    assert.ok(lease, `${this.name} holds ${topic}/${partition}`)
    return lease
  }

  async holds(count: number): Promise<void> {
    await waitUntil(`${this.name} holds ${count} tasks`, () => this.held.size === count)
  }

  giveBack(lease: Lease): void {
    this.held.delete(nameOf(lease))
    this.membership?.giveBack(lease)
  }

  async leave(): Promise<void> {
    await this.membership?.leave()
  }
}

function nameOf({ task }: Lease): string {
  return `${task.topic}/${task.partition}`
}
