/** The public door of Semel's testing kit: what proves our engines is handed to whoever writes one. */

export { SeededRandom } from '../platform/seeded-random.ts'
export { engineConformance, leaseTableConformance } from './conformance/index.ts'
export type { ConformanceOptions, ConformanceStorage } from './conformance/options.ts'
export { checkHistory } from './history/check-history.ts'
export type { CheckOptions, GroupOptions } from './history/options.ts'
export { HistoryProbe, type ProbeEvent } from './history/probe.ts'
export type { HistoryEvent } from './history/record.ts'
export { HistoryRecorder, mergeHistories } from './history/recorder.ts'
export { reportPage } from './history/report/page.ts'
export type { HistoryReport, Verdict } from './history/report/report.ts'
export { reportJson, reportText } from './history/report/text.ts'
export { hostClock, RealHistoryFile, StoredHistory } from './real-history-file.ts'
export { type FaultName, faultMeanings, faultNames, isFaultName } from './simulation/fault-board.ts'
export {
  type CrashPointsOptions,
  type CrashPointsReport,
  crashPoints,
} from './simulation/kit/crash-points.ts'
export type { Outcome, ProcessTools, Scenario } from './simulation/kit/scenario.ts'
export {
  faults,
  type ScenarioFailure,
  type ScenarioReport,
  type SimulateOptions,
  simulate,
} from './simulation/kit/simulate.ts'
export { Scheduler, SimulationStuck } from './simulation/scheduler.ts'
export { SimulatedPlatform } from './simulation/simulated-platform.ts'
