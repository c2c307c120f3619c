import type { BenchCase } from '../measure.ts'
import { dedup } from './dedup.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import { processAtLeastOnce, processExactlyOnce } from './process.ts'
import { publishBatch, publishConcurrent } from './publish.ts'

/** All cases of the SQLite engine, in the order of issue B. */
export const sqliteCases: readonly BenchCase[] = [
  publishBatch,
  publishConcurrent,
  processAtLeastOnce,
  processExactlyOnce,
  latency,
  dedup,
  memory,
]
