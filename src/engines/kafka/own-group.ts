import type { Lease, TaskId } from '../../engine/engine.ts'
import type { OffsetMember } from './producers.ts'

/** What a task asks of its membership. */
export interface OwnGroup {
  /** Whether the group counts this process as the owner, as far as this process knows. */
  owns(task: TaskId): boolean
  /** Whether its coordinator says so. To be asked before anything that would fence another owner. */
  isCounted(task: TaskId): Promise<boolean>
  /** Somebody else owns the task, or did: what this process believes of it is over. */
  lost(lease: Lease): void
  /** In whose name the task's transactions have offsets. */
  member(task: TaskId): OffsetMember
}
