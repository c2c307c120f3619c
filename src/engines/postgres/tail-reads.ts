import type { ReadRequest, ReadResult } from '../../engine/engine.ts'
import type { Platform } from '../../platform/platform.ts'

interface Asked {
  readonly request: ReadRequest
  readonly resolve: (result: ReadResult) => void
  readonly reject: (error: unknown) => void
}

/** Answers each request, or the error that is its answer. */
export type ReadMany = (requests: readonly ReadRequest[]) => Promise<readonly (ReadResult | Error)[]>

/**
 * Reads where partitions end, as one statement. An append wakes every reader of the process, and most of them then hear
 * that there is nothing: on a small machine those questions were half of the server's work.
 */
export class TailReads {
  readonly #platform: Platform
  readonly #readMany: ReadMany
  #asked: Asked[] = []

  constructor(platform: Platform, readMany: ReadMany) {
    this.#platform = platform
    this.#readMany = readMany
  }

  /** Waits for whoever else asks in this turn. */
  read(request: ReadRequest): Promise<ReadResult> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ request, resolve, reject })
      if (this.#asked.length === 1) this.#platform.timers.soon(() => void this.#send())
    })
  }

  async #send(): Promise<void> {
    const asked = this.#asked
    this.#asked = []
    try {
      const results = await this.#readMany(asked.map(({ request }) => request))
      for (const [n, { resolve, reject }] of asked.entries()) {
        const result = results[n]!
        if (result instanceof Error) reject(result)
        else resolve(result)
      }
    } catch (error) {
      for (const { reject } of asked) reject(error)
    }
  }
}
