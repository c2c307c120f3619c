import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { dirname } from 'node:path'

/** A unit of work that found something, with what repeats it. */
export interface Violation {
  readonly kind: string
  readonly at: string
  readonly unit: string
  readonly message: string
}

/** What was done of one kind, over all slices. */
export interface KindTotal {
  /** Seeds, crash points, power losses, kills, or runs. */
  done: number
  /** Of these, how many proved nothing: a point that was not reached, a run whose faults did not bite. */
  void: number
  operations: number
  seconds: number
  /** Seeds are used in order, so that the next slice goes on after the last one. */
  nextSeed: number
}

export interface Slice {
  readonly from: string
  to: string
  readonly commit: string
  readonly kinds: Record<string, number>
}

export interface MixedRun {
  readonly engine: string
  readonly seed: number
  readonly seconds: number
  readonly events: number
  /** Publishes, handled events and commits in a second. */
  readonly operationsPerSecond: number
  /** How often each kind of fault was made, and kinds that never were. */
  readonly faults: Readonly<Record<string, number>>
  readonly missing: readonly string[]
}

/** Everything a campaign has done so far. */
export interface Totals {
  readonly machine: string
  readonly kinds: Record<string, KindTotal>
  /** Crash points by scenario: those that were killed at, and names with no further point. */
  readonly points: Record<string, { killed: number; next: Record<string, number>; exhausted: string[] }>
  readonly mixed: MixedRun[]
  readonly slices: Slice[]
  readonly violations: Violation[]
}

/** Where totals are kept if nothing else is said: with the code, so that the next machine goes on. */
export const totalsFile = 'docs/reference/campaign.json'

/** The totals of a file, or new ones. */
export function readTotals(file: string): Totals {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'))
  return { machine: describeMachine(), kinds: {}, points: {}, mixed: [], slices: [], violations: [] }
}

/** Whole or not at all: a campaign may be interrupted at any moment. */
export function writeTotals(file: string, totals: Totals): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, `${JSON.stringify(totals, null, 2)}\n`)
  renameSync(`${file}.new`, file)
}

export function kindOf({ kinds }: Totals, name: string): KindTotal {
  kinds[name] ??= { done: 0, void: 0, operations: 0, seconds: 0, nextSeed: 1 }
  return kinds[name]
}

function describeMachine(): string {
  const all = cpus()
  const gib = Math.round(totalmem() / 2 ** 30)
  return `${all.length} × ${all[0]?.model ?? arch()}, ${gib} GiB, Linux ${release()}, Node ${process.version}`
}
