import type { Lease } from '../../engine/engine.ts'
import { storeNames } from '../../engine/store-names.ts'
import { isSemelError, SemelError } from '../../errors.ts'
import type { StoredEvent } from '../../event/event.ts'
import { limits } from '../../limits.ts'
import { sleep } from '../../platform/wait.ts'
import { retryDelayMs } from '../../runtime/retry-policy.ts'
import { checkMark, encodeMark } from '../../runtime/source-mark.ts'
import type { CopyPlan } from './copy-plan.ts'

const retryPolicy = { attempts: 10, baseDelayMs: 50, maxDelayMs: 5_000, onExhausted: 'block' } as const

/**
 * Copies one partition while this process holds its lease. Events and position commit in one unit, fenced by the epoch:
 * wherever a copy is killed, the next one goes on behind the last event that is there (X2, Z1).
 */
export class PartitionCopy {
  readonly #plan: CopyPlan
  readonly #lease: Lease
  readonly #onProgress: () => void
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #position: number | undefined
  #failures = 0
  #error: unknown

  constructor(plan: CopyPlan, lease: Lease, onProgress: () => void) {
    this.#plan = plan
    this.#lease = lease
    this.#onProgress = onProgress
    this.#ended = this.#run()
  }

  /** Offset in the source up to which events are copied; `undefined` until it is loaded. */
  get position(): number | undefined {
    return this.#position
  }

  /** Why it cannot go on, if it cannot. */
  get error(): unknown {
    return this.#error
  }

  /** Takes no new events. Resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#copy()
        return
      } catch (error) {
        if (isFenced(error)) return
        if (!(await this.#mayRetry(error))) {
          this.#error = error
          this.#onProgress()
          return
        }
      }
    }
  }

  /** From the stored position to the end. After any failure it begins here again: the position says what happened. */
  async #copy(): Promise<void> {
    let from = await this.#load()
    let position = from ?? this.#bounds.earliest
    this.#note(position)
    while (position < this.#bounds.end && !this.#stop.signal.aborted) {
      const { events, next } = await this.#read(position)
      await this.#plan.target.commit(this.#unit(from, next, events))
      this.#failures = 0
      from = next
      position = next
      this.#note(position)
    }
  }

  get #bounds(): CopyPlan['partitions'][number] {
    return this.#plan.partitions[this.#lease.task.partition]!
  }

  #note(position: number): void {
    this.#position = position
    this.#onProgress()
  }

  async #load(): Promise<number | undefined> {
    const { source, target } = this.#plan
    const { task } = this.#lease
    const { position, logId } = await target.load(this.#lease)
    if (logId !== undefined && logId !== source.logId) throw anotherSource(task.topic, task.partition)
    if (position === undefined) return undefined
    const { earliest, end } = (await source.bounds(task.topic))[task.partition]!
    if (position > end) throw sourceShorter(task.topic, task.partition, position, end)
    const [mark] = await target.readState(task, storeNames.sourceMark, [''])
    if (mark !== undefined) await checkMark(source, task, mark, earliest)
    return position
  }

  async #read(position: number): Promise<{ events: readonly StoredEvent[]; next: number }> {
    const { topic, partition } = this.#lease.task
    const maxEvents = Math.min(limits.readEventsMax, this.#bounds.end - position)
    const { source } = this.#plan
    const { readBytesMax: maxBytes } = limits
    return await source.read({ topic, partition, offset: position, maxEvents, maxBytes })
  }

  #unit(from: number | undefined, to: number, events: readonly StoredEvent[]) {
    const { topic, partition } = this.#lease.task
    const last = events.at(-1)
    const mark = last === undefined ? [] : [encodeMark(last)]
    return {
      lease: this.#lease,
      from,
      to,
      logId: this.#plan.source.logId,
      appends:
        events.length === 0 ? [] : [{ topic, partition, records: events, callOf: undefined, fresh: false }],
      state: mark.length === 0 ? [] : [{ store: storeNames.sourceMark, keys: [''], values: mark }],
    }
  }

  /** What may pass is tried again, a few times more after each success. */
  async #mayRetry(error: unknown): Promise<boolean> {
    const isPassing = isSemelError(error) && (error.retryable || error.outcome === 'unknown')
    if (!isPassing || ++this.#failures > retryPolicy.attempts) return false
    const { platform } = this.#plan
    const delayMs = retryDelayMs(retryPolicy, this.#failures, platform.random)
    await sleep(platform, delayMs, this.#stop.signal).catch(() => undefined)
    return true
  }
}

/** Another copy has the partition now, or had it meanwhile: it goes on from where we are. */
function isFenced(error: unknown): boolean {
  return isSemelError(error) && error.code === 'FENCED'
}

function anotherSource(topic: string, partition: number): SemelError {
  return new SemelError('LOG_REGRESSED', `${topic}/${partition} of the target is a copy of another log`, {
    hint: 'the source was re-created or replaced; copy to a new target',
  })
}

function sourceShorter(topic: string, partition: number, position: number, end: number): SemelError {
  return new SemelError(
    'LOG_REGRESSED',
    `${position} events of ${topic}/${partition} were copied, but the source ends at ${end} now`,
    { end, actual: position, hint: 'the source went back to an older state; copy to a new target' },
  )
}
