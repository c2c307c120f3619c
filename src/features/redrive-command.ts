/** Asks the owner of a task to run one dead letter again. */
export interface RedriveCommand {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** The topic that carries a group's redrive commands. One partition: commands are rare and each task reads all. */
export function redriveTopicName(group: string): string {
  return `semel.redrive.${group}`
}

export function isRedriveCommand(data: unknown): data is RedriveCommand {
  return (
    typeof data === 'object' && data !== null && 'topic' in data && 'partition' in data && 'offset' in data
  )
}
