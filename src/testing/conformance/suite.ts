import assert from 'node:assert/strict'
import { realPlatform } from '../../platform/real-platform.ts'
import { orLate } from '../../platform/wait.ts'
import type { ConformanceOptions } from './options.ts'
import { TestBed } from './test-bed.ts'

const testMsMax = 60_000

/** What a test needs of an engine. Anything else is a skip, with this as its reason. */
export interface Needs {
  readonly dedup?: 'topic'
  readonly appendClock?: 'process'
  readonly atomicVisibility?: true
  readonly denseOffsets?: true
  readonly ownership?: 'lease-table'
  readonly instances?: 'many'
  readonly retention?: true
  readonly seals?: true
  readonly sql?: 'any' | 'none'
}

export type Check = (bed: TestBed) => Promise<void>

/** One test, as data: the suite decides whether, where and under which name it runs. */
export interface Case {
  readonly name: string
  readonly needs: Needs
  readonly check: Check
}

export function check(name: string, run: Check): Case {
  return { name, needs: {}, check: run }
}

export function checkIf(needs: Needs, name: string, run: Check): Case {
  return { name, needs, check: run }
}

/** Registers tests with the runner, each on a storage of its own, and keeps the books of what is left out. */
export class Suite {
  readonly options: ConformanceOptions
  readonly #skips = new Map<string, number>()

  constructor(options: ConformanceOptions) {
    this.options = options
  }

  group(name: string, ...lists: readonly (readonly Case[])[]): void {
    const { describe, test } = this.options
    const title = `${this.options.name} ${name}`
    const runnable = lists.flat().filter((candidate) => this.#isRunnable(candidate))
    const register = (prefix: string): void => {
      for (const { name, check } of runnable) test(`${prefix}${name}`, () => this.#runInTime(check))
    }
    if (describe === undefined) register(`${title}: `)
    else describe(title, () => register(''))
  }

  #isRunnable({ needs }: Case): boolean {
    const reason = this.#missing(needs)
    if (reason !== undefined) this.#skips.set(reason, (this.#skips.get(reason) ?? 0) + 1)
    return reason === undefined
  }

  #runInTime(check: Check): Promise<void> {
    const onLate = () => new Error(`no end after ${testMsMax} ms`)
    return orLate(realPlatform, this.#run(check), testMsMax, onLate)
  }

  async #run(check: Check): Promise<void> {
    await using bed = await TestBed.open(this.options)
    await check(bed)
  }

  /** The first fact that is not as needed, as `fact=value`. */
  #missing(needs: Needs): string | undefined {
    const { facts, retention = false } = this.options
    const instances = this.options.instances ?? (facts.sharedByProcesses ? 'many' : 'one')
    const actual: Record<keyof Needs, unknown> = { ...facts, instances, retention }
    for (const name of Object.keys(needs) as (keyof Needs)[]) {
      const wanted = needs[name]
      const fits =
        wanted === 'any'
          ? actual[name] !== undefined
          : wanted === 'none'
            ? actual[name] === undefined
            : actual[name] === wanted
      if (!fits) return `${name}=${actual[name]}`
    }
    return undefined
  }

  /** A line for each reason, in the one place every runner shows: the name of a test. */
  reportSkips(): void {
    const { test, name, expectSkips } = this.options
    for (const [reason, count] of this.#skips)
      test(`${name} skipped ${count}: ${reason}`, async () => undefined)
    if (expectSkips === undefined) return
    test(`${name} skips only what was expected`, async () => {
      assert.deepEqual([...this.#skips.keys()].sort(), [...expectSkips].sort())
    })
  }
}
