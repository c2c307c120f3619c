/** Below this many deletions nothing is copied. */
const deletionsMin = 32

/**
 * A map through which much passes and in which little is at any time.
 *
 * A `Map` moves to a new table now and then, and the old one, with all that was in it, keeps a pointer to the new one. Once one of
 * them has reached the old generation, each collection of the young one keeps all tables after it and whatever was in them,
 * until the next full collection. Here what is left moves to a new `Map`, to which nothing old points.
 */
export class FleetingMap<K, V> {
  #entries = new Map<K, V>()
  #deletions = 0

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value)
  }

  delete(key: K): boolean {
    if (!this.#entries.delete(key)) return false
    if (++this.#deletions >= Math.max(deletionsMin, this.#entries.size)) this.#renew()
    return true
  }

  clear(): void {
    this.#entries = new Map()
    this.#deletions = 0
  }

  /** In the order in which they were set. */
  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries()
  }

  #renew(): void {
    this.#entries = new Map(this.#entries)
    this.#deletions = 0
  }
}
