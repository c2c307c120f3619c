import { orAborted } from '../../platform/wait.ts'

/** A bounded number of places; whoever finds none free waits in line. */
export class PlacesFree {
  #free: number
  readonly #line: (() => void)[] = []

  constructor(places: number) {
    this.#free = places
  }

  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free--
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#line.push(resolve)
    try {
      await orAborted(promise, signal)
    } catch (error) {
      const at = this.#line.indexOf(resolve)
      if (at >= 0) this.#line.splice(at, 1)
      // It had become ours in the same moment.
      else this.give()
      throw error
    }
  }

  give(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#free++
    else next()
  }
}
