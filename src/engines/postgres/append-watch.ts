import type { AppendListener, Place } from '../../engine/engine.ts'

/** Tells listeners in this process that events may have come: after its own writes, and after hints from others. */
export class AppendWatch {
  readonly #listeners = new Set<AppendListener>()
  readonly #onListen: () => void

  /** `onListen`: somebody waits for events now. */
  constructor(onListen: () => void = () => undefined) {
    this.#onListen = onListen
  }

  listen(listener: AppendListener): () => void {
    // Wrapped, so that one function may listen twice and stop once.
    const entry: AppendListener = (places) => listener(places)
    this.#listeners.add(entry)
    this.#onListen()
    return () => {
      this.#listeners.delete(entry)
    }
  }

  get hasListeners(): boolean {
    return this.#listeners.size > 0
  }

  notify(places?: readonly Place[]): void {
    for (const listener of this.#listeners) listener(places)
  }

  close(): void {
    this.#listeners.clear()
  }
}
