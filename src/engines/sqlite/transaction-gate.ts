import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crashPoint } from './crash-points.ts'
import { isBusy } from './sqlite-errors.ts'

export interface WriterClock {
  now(): number
  monotonic(): number
  /** Blocks this thread. The writer has nothing else to do while another process holds the lock. */
  pause(ms: number): void
}

const lockPauseMs = 0.2
/** Others wrote within this time: leave them a gap between two transactions, or they might never get in. */
const companyMs = 200
const gapMs = 0.3

/**
 * Begins and ends transactions. SQLite's own way to wait for another process sleeps ever longer, so that whoever
 * writes all the time starves the others; here everybody asks often, and leaves a gap when not alone.
 */
export class TransactionGate {
  readonly #database: DatabaseSync
  readonly #clock: WriterClock
  readonly #lockWaitMs: number
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  #flushed = true
  #lastCompanyMs = Number.NEGATIVE_INFINITY
  commits = 0

  constructor(database: DatabaseSync, clock: WriterClock, lockWaitMs: number) {
    this.#database = database
    this.#clock = clock
    this.#lockWaitMs = lockWaitMs
    this.#begin = database.prepare('begin immediate')
    this.#commit = database.prepare('commit')
  }

  /** `flushed`: the commit is answered only after the disk has it (D1); else only the kernel has (D2). */
  begin(flushed: boolean): void {
    if (this.#flushed !== flushed) {
      // Not OFF, even for `memory`: a checkpoint without flush would endanger what was acknowledged before.
      this.#database.exec(`pragma synchronous = ${flushed ? 'full' : 'normal'}`)
      this.#flushed = flushed
    }
    if (this.#clock.monotonic() - this.#lastCompanyMs < companyMs) this.#clock.pause(gapMs)
    const dueMs = this.#clock.monotonic() + this.#lockWaitMs
    for (;;) {
      try {
        this.#begin.run()
        return
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonic() >= dueMs) throw error
        this.noteCompany()
        this.#clock.pause(lockPauseMs)
      }
    }
  }

  commit(): void {
    this.#commit.run()
    this.commits++
    crashPoint('gate.committed')
  }

  rollback(): void {
    if (this.#database.isTransaction) this.#database.exec('rollback')
  }

  /** Another process was seen writing. */
  noteCompany(): void {
    this.#lastCompanyMs = this.#clock.monotonic()
  }
}
