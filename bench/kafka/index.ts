import type { BenchCase } from '../measure.ts'
import { processAtLeastOnce, processExactlyOnce } from './process.ts'
import { publishBatch, publishConcurrent } from './publish.ts'

/** All cases of the Kafka engine, in the order of issue D. */
export const kafkaCases: readonly BenchCase[] = [
  publishBatch,
  publishConcurrent,
  processAtLeastOnce,
  processExactlyOnce,
]
