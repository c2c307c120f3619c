import type { Durability } from '../../engine/facts.ts'
import type { ClauseException } from '../../engine/status.ts'
import { SemelError } from '../../errors.ts'
import type { KafkaTopic } from './topic-table.ts'

/** Broker settings under which acknowledged events may be lost. */
export const safetySettings = ['replication.factor'] as const
export type UnsafeSetting = (typeof safetySettings)[number]

/** UNSAFE_SETTING if a topic has one copy only and `fsync` was asked for: that copy may not be on a disk yet (D7). */
export function checkReplicas(
  { name, replicas }: KafkaTopic,
  durability: Durability,
  accepted: readonly UnsafeSetting[],
): void {
  if (replicas > 1 || durability !== 'fsync' || accepted.includes('replication.factor')) return
  throw new SemelError(
    'UNSAFE_SETTING',
    `topic ${name} has replication.factor 1: a broker acknowledges before the event is on a disk, and nobody else has it`,
    {
      field: 'replication.factor',
      hint: 'set default.replication.factor of the brokers to 3 and give the topic more copies, ask for durability "os", or name it in acceptUnsafe',
    },
  )
}

/** What an accepted setting takes away, for the guarantee card. */
export function durabilityExceptions({ name, replicas }: KafkaTopic): readonly ClauseException[] {
  if (replicas > 1) return []
  return [
    {
      clause: 'D1',
      why: `topic ${name} has replication.factor 1: a power failure may take what was acknowledged`,
    },
  ]
}
