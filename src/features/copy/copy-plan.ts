import type { Engine } from '../../engine/engine.ts'
import type { Platform } from '../../platform/platform.ts'

/** Copies are members of this group of the target: it has the position of each partition, and says who copies. */
export const copyGroup = 'semel.copy'

/** A topic on its way from one engine to another. */
export interface CopyPlan {
  readonly source: Engine
  readonly target: Engine
  readonly topic: string
  /** Where each partition of the source begins and where the copy ends: what came after the start is left for later. */
  readonly partitions: readonly { readonly earliest: number; readonly end: number }[]
  readonly platform: Platform
}
