import type { TaskContext } from './task-context.ts'

/** The highest position of this task that this process knows to be committed; 0 if it knows of none (D6). */
export function reached({ reached: positions, lease }: TaskContext): number {
  return positions.get(nameOf(lease)) ?? 0
}

/** A position was committed, or found stored. */
export function noteReached(context: TaskContext, position: number): void {
  if (position > reached(context)) context.reached.set(nameOf(context.lease), position)
}

function nameOf({ task }: TaskContext['lease']): string {
  return `${task.topic}/${task.partition}`
}
