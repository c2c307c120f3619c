import { appendTests } from './append.ts'
import { closingTests } from './closing.ts'
import { conflictTests } from './conflicts.ts'
import { dataTests } from './data.ts'
import { dedupTests, windowTests } from './dedup.ts'
import { modelTests } from './model.ts'
import type { ConformanceOptions } from './options.ts'
import { manyMemberTests, ownershipTests } from './ownership.ts'
import { readingTests } from './reading.ts'
import { sealTests } from './sealing.ts'
import { stateTests } from './state.ts'
import { statusTests } from './status.ts'
import { Suite } from './suite.ts'
import { topicTests } from './topics.ts'
import { refusedTransactionTests, transactionTests } from './transactions.ts'
import { emitTests, unitTests } from './units.ts'

export type { LeaseTableConformanceOptions, LeaseTableUnderTest } from './lease-table.ts'
export { leaseTableConformance } from './lease-table.ts'
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
  suite.group('topics', topicTests)
  suite.group('append', appendTests)
  suite.group('deduplication', dedupTests, windowTests)
  suite.group('conflicts', conflictTests)
  suite.group('data', dataTests)
  suite.group('reading', readingTests)
  suite.group('ownership', ownershipTests, manyMemberTests)
  suite.group('units', unitTests, emitTests)
  suite.group('state', stateTests)
  suite.group('transactions', transactionTests, refusedTransactionTests)
  suite.group('moving', sealTests)
  suite.group('status', statusTests)
  suite.group('closing', closingTests)
  suite.group('model', modelTests)
  suite.reportSkips()
}
