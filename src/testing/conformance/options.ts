import type { Engine } from '../../engine/engine.ts'
import type { EngineFacts } from '../../engine/facts.ts'

/** `test` of node:test, vitest, jest, mocha (`it`), … */
export type RunnerTest = (name: string, run: () => Promise<void>) => unknown
export type RunnerDescribe = (name: string, body: () => void) => unknown

export interface ConformanceOptions {
  readonly test: RunnerTest
  /** Groups the tests. Without it, their names begin with the group's. */
  readonly describe?: RunnerDescribe | undefined
  /** Name of the engine in the names of the tests. */
  readonly name: string
  /** The suite runs what these allow, and checks that the engine itself says the same. */
  readonly facts: EngineFacts
  /** A new, empty storage. Each test asks for its own. */
  readonly open: () => ConformanceStorage | Promise<ConformanceStorage>
  /** Whether several engines may use one storage at once. Default: `facts.sharedByProcesses`. */
  readonly instances?: 'one' | 'many' | undefined
  /** Whether the storage has `deleteBefore`. Default false. */
  readonly retention?: boolean | undefined
  /** The exact reasons for skips, e.g. `['sql=undefined']`. With it, a new skip fails the suite. */
  readonly expectSkips?: readonly string[] | undefined
}

export interface ConformanceStorage {
  /** A new engine object on this storage, not open yet. The suite guards, opens and closes it. */
  engine(): Engine
  /** Removes the events of a partition below `offset`, as retention would. */
  deleteBefore?(topic: string, partition: number, offset: number): Promise<void>
  dispose?(): Promise<void>
}
