import type { Lease, OwnershipListener } from '../../engine/engine.ts'
import { Wake } from '../../runtime/wake.ts'
import { type CopyPlan, copyGroup } from './copy-plan.ts'
import { PartitionCopy } from './partition-copy.ts'

/** A copy that was killed keeps its partitions for this long. */
const leaseMs = 3_000
/** Positions of partitions that other processes copy are asked for this often. */
const lookEveryMs = 500

/** One process's part of a copy. Several that run at once share the partitions like members of any group. */
export class CopyRun implements OwnershipListener {
  readonly #plan: CopyPlan
  readonly #onProgress: (positions: readonly number[]) => void
  readonly #copies = new Map<number, PartitionCopy>()
  readonly #wake: Wake
  #positions: number[]
  #copied = 0

  constructor(plan: CopyPlan, onProgress: (positions: readonly number[]) => void) {
    this.#plan = plan
    this.#onProgress = onProgress
    this.#wake = new Wake(plan.platform)
    this.#positions = plan.partitions.map(({ earliest }) => earliest)
  }

  /** Resolves when every partition is copied to its end, by whomever; rejects with the first reason why one cannot be. */
  async untilDone(signal: AbortSignal | undefined): Promise<void> {
    const { target, topic, partitions } = this.#plan
    const topics = [{ topic, partitions: partitions.length }]
    const report = () => ({ inFlight: 0, retries: 0, handled: this.#copied, commitMs: { p50: 0, p99: 0 } })
    const ring = (): void => this.#wake.ring()
    const membership = await target.join({ group: copyGroup, topics, leaseMs, report }, this)
    signal?.addEventListener('abort', ring, { once: true })
    try {
      await this.#loop(signal)
    } finally {
      signal?.removeEventListener('abort', ring)
      await membership.leave()
    }
  }

  assigned(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const copy = new PartitionCopy(this.#plan, lease, () => this.#wake.ring())
      this.#copies.set(lease.task.partition, copy)
    }
  }

  async revoked(leases: readonly Lease[]): Promise<void> {
    await Promise.all(
      leases.map(async ({ task: { partition } }) => {
        const copy = this.#copies.get(partition)
        this.#copies.delete(partition)
        await copy?.stop()
      }),
    )
  }

  async #loop(signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#plan.platform
    let lookedMs = clock.monotonic()
    while (!this.#isDone()) {
      await this.#wake.wait(lookEveryMs)
      signal?.throwIfAborted()
      for (const { error } of this.#copies.values()) if (error !== undefined) throw error
      this.#noteOwn()
      if (clock.monotonic() - lookedMs < lookEveryMs) continue
      await this.#look()
      lookedMs = clock.monotonic()
    }
  }

  #isDone(): boolean {
    return this.#plan.partitions.every(({ end }, partition) => this.#positions[partition]! >= end)
  }

  #noteOwn(): void {
    for (const [partition, { position }] of this.#copies) this.#note(partition, position)
    this.#onProgress(this.#positions)
  }

  #note(partition: number, position: number | undefined): void {
    if (position === undefined || position <= this.#positions[partition]!) return
    this.#copied += position - this.#positions[partition]!
    this.#positions[partition] = position
  }

  async #look(): Promise<void> {
    const { groups } = await this.#plan.target.status()
    const { topic } = this.#plan
    for (const { group, topic: name, partition, owner, position } of groups) {
      if (group !== copyGroup || name !== topic || this.#copies.has(partition)) continue
      // Where nobody is at work, nobody has looked whether the position belongs to this source: we shall (D6).
      if (owner !== undefined) this.#note(partition, position)
    }
    this.#onProgress(this.#positions)
  }
}
