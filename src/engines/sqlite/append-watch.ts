import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { limits } from '../../limits.ts'
import type { Platform, Timer } from '../../platform/platform.ts'

const slowdown = 1.5

/**
 * Tells listeners that events may have come: at once for this process, by asking the file for others. SQLite's
 * `data_version` changes with every commit of another connection; asking costs microseconds.
 */
export class AppendWatch {
  readonly #platform: Platform
  readonly #version: StatementSync
  readonly #listeners = new Set<() => void>()
  #seen: number
  #pollMs: number = limits.pollMsMin
  #timer: Timer | undefined

  constructor(database: DatabaseSync, platform: Platform) {
    this.#platform = platform
    this.#version = database.prepare('pragma data_version')
    this.#seen = this.#readVersion()
  }

  listen(listener: () => void): () => void {
    // Wrapped, so that one function may listen twice and stop once.
    const entry = (): void => listener()
    this.#listeners.add(entry)
    if (this.#timer === undefined) this.#plan()
    return () => {
      this.#listeners.delete(entry)
      if (this.#listeners.size === 0) this.close()
    }
  }

  /** This process appended something. */
  notify(): void {
    for (const listener of this.#listeners) listener()
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #plan(): void {
    this.#timer = this.#platform.timers.after(this.#pollMs, () => {
      this.#timer = undefined
      this.#look()
      if (this.#listeners.size > 0) this.#plan()
    })
  }

  #look(): void {
    let version = Number.NaN
    try {
      version = this.#readVersion()
    } catch {
      // A file that cannot be read: whoever listens will read it and be told; a timer has nobody to tell.
    }
    if (version === this.#seen) {
      this.#pollMs = Math.min(limits.pollMsMax, this.#pollMs * slowdown)
      return
    }
    this.#seen = version
    this.#pollMs = limits.pollMsMin
    this.notify()
  }

  #readVersion(): number {
    return Number(this.#version.get()?.data_version)
  }
}
