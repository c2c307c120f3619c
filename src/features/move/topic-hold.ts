import type { Engine } from '../../engine/engine.ts'
import { hasCode, isSemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'

/** Another hold, of a move that was killed or of one that goes on, is waited for this long. */
const waitMsMax = 120_000
const lookEveryMs = 100
const renewalsPerHold = 4

export interface HoldParts {
  readonly source: Engine
  readonly topic: string
  readonly holdMs: number
  readonly platform: Platform
}

/** The source's topic, closed by us (`Engine.seal`), and renewed until it is moved or released. */
export class TopicHold {
  readonly #parts: HoldParts
  readonly #holder: string
  readonly #stop = new AbortController()
  #renewing: Promise<void> = Promise.resolve()
  #lost: Error | undefined

  private constructor(parts: HoldParts) {
    const { random } = parts.platform
    this.#parts = parts
    this.#holder = `move-${random.uint32().toString(36)}${random.uint32().toString(36)}`
  }

  static async take(parts: HoldParts, signal: AbortSignal | undefined): Promise<TopicHold> {
    const { source, topic, holdMs, platform } = parts
    const hold = new TopicHold(parts)
    const dueMs = platform.clock.monotonic() + waitMsMax
    for (;;) {
      try {
        await source.seal({ topic, holder: hold.#holder, step: 'hold', forMs: holdMs })
        hold.#renewing = hold.#renew()
        return hold
      } catch (error) {
        const isPassing = hasCode(error, 'TOPIC_MOVED') && isSemelError(error) && error.retryable
        if (!isPassing || platform.clock.monotonic() >= dueMs) throw error
        await sleep(platform, lookEveryMs, signal)
      }
    }
  }

  /** @throws what ended the hold. */
  check(): void {
    if (this.#lost !== undefined) throw this.#lost
  }

  /** The hold becomes final, if it never ended. */
  async move(to: string): Promise<void> {
    this.check()
    const { source, topic } = this.#parts
    await source.seal({ topic, holder: this.#holder, step: 'move', to })
  }

  /** Opens the topic again, unless it was moved. If that fails, it opens when the hold has run out. */
  async end(): Promise<void> {
    this.#stop.abort()
    await this.#renewing
    const { source, topic } = this.#parts
    await source.seal({ topic, holder: this.#holder, step: 'release' }).catch(() => undefined)
  }

  async #renew(): Promise<void> {
    const { source, topic, holdMs, platform } = this.#parts
    const request = { topic, holder: this.#holder, step: 'renew', forMs: holdMs } as const
    while (!this.#stop.signal.aborted && this.#lost === undefined) {
      await sleep(platform, holdMs / renewalsPerHold, this.#stop.signal).catch(() => undefined)
      if (this.#stop.signal.aborted) return
      // Whether it still is ours is decided when it becomes final, whatever comes of this.
      await source.seal(request).catch((error: unknown) => {
        if (hasCode(error, 'FENCED')) this.#lost = error instanceof Error ? error : undefined
      })
    }
  }
}
