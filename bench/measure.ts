import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What one run of one program came to. Names end in their unit. */
export type Figures = Readonly<Record<string, number>>

/** One program of a case: Semel, or the hand-written one that it is compared with. */
export type Program = (folder: string, forMs: number) => Promise<Figures>

export interface BenchCase {
  readonly name: string
  /** The figure that is compared. */
  readonly figure: string
  readonly better: 'higher' | 'lower'
  /** What the issue asks for. */
  readonly reach: Readonly<Record<string, number>>
  /** Least ratio to the hand-written program, by program name. */
  readonly ratios: Readonly<Record<string, number>>
  readonly programs: Readonly<Record<string, Program>>
  /** It lasts as long as `--for` says, and one run of it is all that is made. */
  readonly isLong?: true
}

/** Runs a program in a folder of its own on the disk that the system's temporary folder is on. */
export async function inFolder(program: Program, forMs: number): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-bench-'))
  try {
    return await program(folder, forMs)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Events per second of `count` events that took from `startedMs` until now. */
export function rate(count: number, startedMs: number): number {
  return Math.round(count / ((performance.now() - startedMs) / 1000))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
