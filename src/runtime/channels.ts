import { channel } from 'node:diagnostics_channel'
import { restoreChannel } from '../engine/restore-channel.ts'

/**
 * Hooks without a dependency (`node:diagnostics_channel`). Each message is a plain object; subscribing costs, not
 * having subscribers is free. Payloads of events never appear in them.
 */
export const channels = {
  /** A publish call settled: `{ events, duplicates, tookMs }`. */
  publish: channel('semel:publish'),
  /** A unit committed: `{ group, topic, partition, epoch, position, events, tookMs }`. */
  commit: channel('semel:commit'),
  /** An attempt failed and another follows: `{ group, topic, partition, offset, attempt, delayMs, error }`. */
  retry: channel('semel:retry'),
  /** An event went to the dead letters: `{ group, topic, partition, offset, attempts, error }`. */
  deadLetter: channel('semel:dead-letter'),
  /** A task came or went: `{ group, topic, partition, epoch, change: 'assigned' | 'handover' | 'lost' }`. */
  ownership: channel('semel:ownership'),
  /** State of a task is read back from its changelog: `{ group, topic, partition, restored, left }`. */
  restore: restoreChannel,
  /** A task discarded uncommitted work and loads its position again: `{ group, topic, partition, epoch, error }`. */
  reset: channel('semel:reset'),
} as const
