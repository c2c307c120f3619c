import type { Lease, TaskId } from '../../engine/engine.ts'
import type { Producer, TopicPartitionOffset } from './client-types.ts'

/** What a task asks of its membership. */
export interface OwnGroup {
  /** Whether the group counts this process as the owner, as far as this process knows. */
  owns(task: TaskId): boolean
  /** Whether its coordinator says so. To be asked before anything that would fence another owner. */
  isCounted(task: TaskId): Promise<boolean>
  /** Somebody else owns the task, or did: what this process believes of it is over. */
  lost(lease: Lease): void
  /** Adds offsets to the producer's transaction in the member's name: the broker refuses a member that is none any more. */
  sendOffsets(producer: Producer, offsets: readonly TopicPartitionOffset[]): Promise<void>
}
