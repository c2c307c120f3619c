import { registerAppendTests } from './append.ts'
import { registerClosingTests } from './closing.ts'
import { registerConflictTests } from './conflicts.ts'
import { registerDataTests } from './data.ts'
import { registerDedupTests } from './dedup.ts'
import { registerModelTests } from './model.ts'
import type { ConformanceOptions } from './options.ts'
import { registerOwnershipTests } from './ownership.ts'
import { registerReadingTests } from './reading.ts'
import { registerStateTests } from './state.ts'
import { registerStatusTests } from './status.ts'
import { Suite } from './suite.ts'
import { registerTopicTests } from './topics.ts'
import { registerTransactionTests } from './transactions.ts'
import { registerUnitTests } from './units.ts'

export type { ConformanceOptions, ConformanceStorage, RunnerDescribe, RunnerTest } from './options.ts'

/**
 * Proves that an engine keeps every sentence of the port (`engine/engine.ts`), in one call:
 *
 *     engineConformance({ test, name: 'mine', facts: mineFacts, open: () => ({ engine: () => mine(freshFile()) }) })
 *
 * The runner's `test` is an argument, so any runner will do. What the engine's facts rule out is left out, and the
 * last tests say how much and because of which fact: `skipped 12: sql=undefined`.
 */
export function engineConformance(options: ConformanceOptions): void {
  const suite = new Suite(options)
  suite.group('topics', registerTopicTests)
  suite.group('append', registerAppendTests)
  suite.group('deduplication', registerDedupTests)
  suite.group('conflicts', registerConflictTests)
  suite.group('data', registerDataTests)
  suite.group('reading', registerReadingTests)
  suite.group('ownership', registerOwnershipTests)
  suite.group('units', registerUnitTests)
  suite.group('state', registerStateTests)
  suite.group('transactions', registerTransactionTests)
  suite.group('status', registerStatusTests)
  suite.group('closing', registerClosingTests)
  suite.group('model', registerModelTests)
  suite.reportSkips()
}
