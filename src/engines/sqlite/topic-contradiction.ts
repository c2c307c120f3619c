import type { TopicSpec } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'

interface StoredTopic {
  readonly partitions: readonly unknown[]
  readonly dedupWindowMs: number
}

/** TOPIC_CONTRADICTION if a declaration does not fit what is stored. A changed window length fits. */
export function checkContradiction(spec: TopicSpec, known: StoredTopic | undefined): void {
  if (known === undefined) return
  const stored = known.partitions.length
  if (stored !== spec.partitions) {
    throw new SemelError(
      'TOPIC_CONTRADICTION',
      `topic ${spec.name} has ${stored} partitions, not ${spec.partitions}`,
      {
        field: 'partitions',
        actual: spec.partitions,
        limit: stored,
        hint: 'declare it as it is stored; changing the count is a migration',
      },
    )
  }
  if (known.dedupWindowMs > 0 === spec.dedupWindowMs > 0) return
  throw new SemelError(
    'TOPIC_CONTRADICTION',
    `topic ${spec.name} was created ${known.dedupWindowMs > 0 ? 'with' : 'without'} deduplication`,
    { field: 'dedup', hint: 'declare it as it is stored' },
  )
}
