import type { StateChanges, StateEntry } from '../../engine/engine.ts'

/** One named store of one task: text values by key, with its keys in order when somebody scans. */
export class MemoryStore {
  readonly #values = new Map<string, string>()
  #sortedKeys: readonly string[] | undefined

  get size(): number {
    return this.#values.size
  }

  get(key: string): string | undefined {
    return this.#values.get(key)
  }

  apply({ keys, values }: StateChanges): void {
    for (const [index, key] of keys.entries()) {
      const value = values[index]
      const before = this.#values.size
      if (value === undefined) this.#values.delete(key)
      else this.#values.set(key, value)
      if (this.#values.size !== before) this.#sortedKeys = undefined
    }
  }

  scan(after: string | undefined, limit: number): readonly StateEntry[] {
    this.#sortedKeys ??= [...this.#values.keys()].sort()
    const keys = this.#sortedKeys
    const first = after === undefined ? 0 : firstAbove(keys, after)
    return keys.slice(first, first + limit).map((key) => ({ key, value: this.#values.get(key)! }))
  }
}

function firstAbove(sorted: readonly string[], key: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! > key) high = middle
    else low = middle + 1
  }
  return low
}
