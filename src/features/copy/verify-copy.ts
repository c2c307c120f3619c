import type { CopyPlan } from './copy-plan.ts'
import { PartitionComparison } from './partition-comparison.ts'

/** What was compared in one partition. */
export interface VerifiedPartition {
  readonly partition: number
  /** Events of the source, all of which are in the target, in their order. */
  readonly events: number
  /** Events that only the target has. */
  readonly others: number
  /** Whether each event has the same offset here and there. */
  readonly sameOffsets: boolean
}

/**
 * Reads both topics from their beginnings and compares: every event of the source is in the same partition of the
 * target, with its id and content, in the source's order.
 *
 * @throws SemelError COPY_DIFFERS at the first event that is not.
 */
export async function verifyCopy(
  plan: CopyPlan,
  signal: AbortSignal | undefined,
): Promise<readonly VerifiedPartition[]> {
  const verified: VerifiedPartition[] = []
  for (const [partition, { end }] of plan.partitions.entries()) {
    const comparison = new PartitionComparison(plan, partition)
    await comparison.goOn(end, signal)
    await comparison.countRest(signal)
    const { events, others, sameOffsets } = comparison
    verified.push({ partition, events, others, sameOffsets })
  }
  return verified
}
