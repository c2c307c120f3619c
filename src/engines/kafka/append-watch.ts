/** Tells listeners in this process that events may have come: after its own writes. Others' are found by polling. */
export class AppendWatch {
  readonly #listeners = new Set<() => void>()

  listen(listener: () => void): () => void {
    // Wrapped, so that one function may listen twice and stop once.
    const entry = (): void => listener()
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  notify(): void {
    for (const listener of this.#listeners) listener()
  }

  close(): void {
    this.#listeners.clear()
  }
}
