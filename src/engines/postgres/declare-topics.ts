import type { TopicSpec } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { int4Array, int8Array, textArray } from './binary-arrays.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'

/** Creates missing topics and compares known ones, in one statement; processes that declare at once take turns. */
export async function declareTopics(
  session: Session,
  schema: string,
  specs: readonly TopicSpec[],
): Promise<void> {
  if (specs.length === 0) return
  const contradictions = await session.rows(`select * from ${quoteIdentifier(schema)}.declare($1, $2, $3)`, [
    textArray(specs.map(({ name }) => name)),
    int4Array(specs.map(({ partitions }) => partitions)),
    int8Array(specs.map(({ dedupWindowMs }) => dedupWindowMs)),
  ])
  for (const [name, partitions, windowMs] of contradictions) {
    const spec = specs.find((candidate) => candidate.name === name)!
    throw contradiction(spec, Number(partitions), Number(windowMs))
  }
}

function contradiction(spec: TopicSpec, partitions: number, windowMs: number): SemelError {
  if (partitions !== spec.partitions) {
    return new SemelError(
      'TOPIC_CONTRADICTION',
      `topic ${spec.name} has ${partitions} partitions, not ${spec.partitions}`,
      {
        field: 'partitions',
        actual: spec.partitions,
        limit: partitions,
        hint: 'declare it as it is stored; changing the count is a migration',
      },
    )
  }
  return new SemelError(
    'TOPIC_CONTRADICTION',
    `topic ${spec.name} was created ${windowMs > 0 ? 'with' : 'without'} deduplication`,
    { field: 'dedup', hint: 'declare it as it is stored' },
  )
}
