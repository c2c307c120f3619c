/** A door that a test opens: whoever waits at it goes on then, and from then on nobody waits. */
export class Gate implements Disposable {
  #open: () => void = () => undefined
  readonly opened = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  open(): void {
    this.#open()
  }

  /** Also a test that fails must not leave anybody waiting. */
  [Symbol.dispose](): void {
    this.open()
  }
}
