import { guardEngine } from '../../engine/guard.ts'
import { realPlatform } from '../../platform/real-platform.ts'
import { sleep } from '../../platform/wait.ts'
import { Instance } from './instance.ts'
import type { ConformanceOptions, ConformanceStorage } from './options.ts'
import { SuitePlatform, type WallShift } from './suite-platform.ts'

const waitMsMax = 20_000
const pollMs = 5

/** One test's storage, the engines on it, and the clock they all see. */
export class TestBed implements AsyncDisposable {
  readonly options: ConformanceOptions
  readonly storage: ConformanceStorage
  readonly #shift: WallShift = { ms: 0 }
  readonly #instances: Instance[] = []

  private constructor(options: ConformanceOptions, storage: ConformanceStorage) {
    this.options = options
    this.storage = storage
  }

  static async open(options: ConformanceOptions): Promise<TestBed> {
    return new TestBed(options, await options.open())
  }

  /** Another open engine on the storage, as if in another process. */
  async instance(): Promise<Instance> {
    const instance = this.unopened()
    await instance.open()
    return instance
  }

  unopened(): Instance {
    const platform = new SuitePlatform(this.#shift)
    const member = `member-${this.#instances.length + 1}`
    const instance = new Instance(guardEngine(this.storage.engine()), platform, member)
    this.#instances.push(instance)
    return instance
  }

  async reopen(instance: Instance): Promise<Instance> {
    await instance.engine.close()
    return await this.instance()
  }

  /** Moves the wall clock of all engines. */
  shiftClock(ms: number): void {
    this.#shift.ms += ms
  }

  async deleteBefore(topic: string, partition: number, offset: number): Promise<void> {
    await this.storage.deleteBefore?.(topic, partition, offset)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { platform, engine } of this.#instances.reverse()) {
      platform.thaw()
      await engine.close()
    }
    await this.storage.dispose?.()
  }
}

/** Waits for a fact, not for a time. */
export async function waitUntil(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const until = realPlatform.clock.monotonic() + waitMsMax
  while (!(await holds())) {
    if (realPlatform.clock.monotonic() > until) throw new Error(`${what}: not so after ${waitMsMax} ms`)
    await sleep(realPlatform, pollMs)
  }
}
