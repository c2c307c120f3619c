import type { BenchCase } from '../measure.ts'
import { heldSnapshot } from './held-snapshot.ts'
import { latency } from './latency.ts'
import { outbox } from './outbox.ts'
import { processAtLeastOnce, processExactlyOnce, processWithSql } from './process.ts'
import { publishBatch, publishConcurrent } from './publish.ts'

/** All cases of the PostgreSQL engine, in the order of issue C, and two more. */
export const postgresCases: readonly BenchCase[] = [
  publishBatch,
  publishConcurrent,
  processAtLeastOnce,
  processExactlyOnce,
  processWithSql,
  latency,
  outbox,
  heldSnapshot,
]
