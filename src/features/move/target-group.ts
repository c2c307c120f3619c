import type { Engine, Lease, Membership, OwnershipListener, TaskPosition, Unit } from '../../engine/engine.ts'
import { isHarmless, SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { Wake } from '../../runtime/wake.ts'

const leaseMsMax = 3_000
/** A member that was killed, or one that is about to leave, is gone by then. */
const waitMsMax = 60_000
const lookEveryMs = 200

export interface TargetGroupParts {
  readonly target: Engine
  readonly topic: string
  readonly partitions: number
  /** A move that was killed keeps its tasks no longer than it keeps the source closed. */
  readonly holdMs: number
  readonly platform: Platform
}

/** A group of the target while the move is its only member: it commits for all tasks of the topic. */
export class TargetGroup implements OwnershipListener {
  readonly group: string
  readonly #parts: TargetGroupParts
  readonly #held = new Map<number, Lease>()
  readonly #wake: Wake
  #membership: Membership | undefined

  private constructor(group: string, parts: TargetGroupParts) {
    this.group = group
    this.#parts = parts
    this.#wake = new Wake(parts.platform)
  }

  static async join(group: string, parts: TargetGroupParts): Promise<TargetGroup> {
    const { target, topic, partitions, holdMs } = parts
    const leaseMs = Math.min(leaseMsMax, holdMs)
    const joined = new TargetGroup(group, parts)
    const report = () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } })
    const request = { group, topics: [{ topic, partitions }], leaseMs, report }
    joined.#membership = await target.join(request, joined)
    return joined
  }

  assigned(leases: readonly Lease[]): void {
    for (const lease of leases) this.#held.set(lease.task.partition, lease)
    this.#wake.ring()
  }

  async revoked(leases: readonly Lease[]): Promise<void> {
    for (const { task } of leases) this.#held.delete(task.partition)
  }

  async leave(): Promise<void> {
    await this.#membership?.leave()
  }

  /** @throws SemelError BUSY if the group has other members, who keep some of its tasks. */
  async untilAllHeld(signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#parts.platform
    const { topic, partitions } = this.#parts
    const dueMs = clock.monotonic() + waitMsMax
    while (this.#held.size < partitions) {
      signal?.throwIfAborted()
      if (clock.monotonic() >= dueMs) {
        throw new SemelError(
          'BUSY',
          `group ${this.group} has members in the target that keep tasks of ${topic}`,
          {
            retryable: true,
            hint: 'stop the consumers there; they can be started as soon as the topic was moved',
          },
        )
      }
      await this.#wake.wait(lookEveryMs)
    }
  }

  async load(partition: number): Promise<TaskPosition> {
    return await this.#parts.target.load(this.#lease(partition))
  }

  /** After a failure nobody knows the outcome of, the task is ours again with a higher epoch, which fences what is late (Z1). */
  async commit(partition: number, unit: Omit<Unit, 'lease'>): Promise<void> {
    const lease = this.#lease(partition)
    try {
      await this.#parts.target.commit({ ...unit, lease })
    } catch (error) {
      if (!isHarmless(error)) {
        this.#held.delete(partition)
        this.#membership?.giveBack(lease)
      }
      throw error
    }
  }

  #lease(partition: number): Lease {
    const lease = this.#held.get(partition)
    if (lease !== undefined) return lease
    const name = `${this.group} on ${this.#parts.topic}/${partition}`
    throw new SemelError('FENCED', `${name} was taken over in the target`, { retryable: true })
  }
}
