/** The deterministic simulation: Semel's core on simulated time, chance and storage, with faults, judged by its history. */

export type { CampaignReport, CampaignRunOptions } from './campaign/campaign-run.ts'
export { knobsOf, runCampaignSeed } from './campaign/campaign-run.ts'
export type { Knobs } from './campaign/knobs.ts'
export { minimiseSeed } from './campaign/minimise.ts'
export type { SimulatedStorage } from './cluster.ts'
export { soundStorage } from './cluster.ts'
export { type FaultName, faultMeanings, faultNames, isFaultName } from './fault-board.ts'
export { Scheduler, SimulationStuck } from './scheduler.ts'
export { SimulatedPlatform } from './simulated-platform.ts'
