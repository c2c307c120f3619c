/** Tells listeners in this process that events may have come: after its own writes, and after hints from others. */
export class AppendWatch {
  readonly #listeners = new Set<() => void>()
  readonly #onListen: () => void

  /** `onListen`: somebody waits for events now. */
  constructor(onListen: () => void = () => undefined) {
    this.#onListen = onListen
  }

  listen(listener: () => void): () => void {
    // Wrapped, so that one function may listen twice and stop once.
    const entry = (): void => listener()
    this.#listeners.add(entry)
    this.#onListen()
    return () => {
      this.#listeners.delete(entry)
    }
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0
  }

  notify(): void {
    for (const listener of this.#listeners) listener()
  }

  close(): void {
    this.#listeners.clear()
  }
}
