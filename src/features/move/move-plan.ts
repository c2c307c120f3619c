import type { Engine } from '../../engine/engine.ts'
import type { Platform } from '../../platform/platform.ts'

export interface MovePlan {
  readonly source: Engine
  readonly target: Engine
  readonly topic: string
  readonly partitions: number
  /** As the source has it. */
  readonly dedupWindowMs: number
  /** Where the target is, for people; without a password. */
  readonly to: string
  /** The source opens again so long after a move that was killed while it held the topic. */
  readonly holdMs: number
  readonly platform: Platform
}

/**
 * preparing: the target gets the topic, marked as not arrived · copying and comparing, while programs run · state ·
 * holding: from here on the source refuses events · positions: the rest of log, positions and state · verifying ·
 * switching: the hold becomes final · finishing: the mark goes away.
 */
export type MoveStep =
  | 'preparing'
  | 'copying'
  | 'comparing'
  | 'state'
  | 'holding'
  | 'positions'
  | 'verifying'
  | 'switching'
  | 'finishing'

export interface MoveProgress {
  readonly step: MoveStep
  /** Events of the source that the target has. An upper bound where offsets have holes. */
  readonly copied: number
  readonly total: number
}

/** A group's part of one partition, as it was moved. */
export interface MovedTask {
  readonly group: string
  readonly partition: number
  /** Its position in the source and in the target: the same event, by its offset there and here. */
  readonly from: number
  readonly to: number
  /** Entries of its state, and a digest of them that both sides agree on. */
  readonly entries: number
  readonly digest: string
}
