import type { MemberReport } from '../engine/engine.ts'

const commitSamplesMax = 512

/** What this process did for one group since it joined. Read by status and sent with each heartbeat. */
export class GroupCounters {
  handled = 0
  retries = 0
  timeouts = 0
  deadLetters = 0
  /** Events that the inbox left out. */
  duplicates = 0
  redriven = 0
  emitted = 0
  units = 0
  fenced = 0
  resets = 0
  inFlight = 0
  readonly #commitMs: number[] = []
  #nextSample = 0

  /** Notes how long a commit took, in milliseconds. The newest 512 are kept. */
  committed(ms: number): void {
    this.units++
    this.#commitMs[this.#nextSample] = ms
    this.#nextSample = (this.#nextSample + 1) % commitSamplesMax
  }

  report(): MemberReport {
    const sorted = [...this.#commitMs].sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0
    return {
      inFlight: this.inFlight,
      retries: this.retries,
      handled: this.handled,
      commitMs: { p50: at(0.5), p99: at(0.99) },
    }
  }
}
