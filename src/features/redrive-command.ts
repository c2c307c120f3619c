import { hash } from 'node:crypto'
import { limits } from '../limits.ts'

/** Asks the owner of a task to run one dead letter again. */
export interface RedriveCommand {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** The topic that carries a group's redrive commands. One partition: commands are rare and each task reads all. */
export function redriveTopicName(group: string): string {
  const name = `semel.redrive.${group}`
  if (name.length <= limits.topicNameCharsMax) return name
  // A group's name may be as long as a topic's; the longest ones leave no room for the prefix.
  return `semel.redrive.${hash('sha256', group)}`
}

export function isRedriveCommand(data: unknown): data is RedriveCommand {
  return (
    typeof data === 'object' && data !== null && 'topic' in data && 'partition' in data && 'offset' in data
  )
}
