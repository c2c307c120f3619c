import { AssertionFailure, isSemelError, SemelError } from '../errors.ts'

/**
 * Open once, close once, closed means error, for everything that has operations under way.
 *
 *  NEW     -> OPENING  `open`
 *  OPENING -> OPEN     it worked
 *  OPENING -> NEW      it failed; it may be tried again
 *  OPEN    -> CLOSING  `close`: new operations are refused, running ones are waited for
 *  CLOSING -> CLOSED   the last one has ended and the engine has closed
 *  NEW     -> CLOSED   `close` without `open`
 */
export class OpenState {
  readonly #name: string
  #phase: 'new' | 'opening' | 'open' | 'closing' | 'closed' = 'new'
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #running = 0
  #onIdle: (() => void) | undefined

  constructor(name: string) {
    this.#name = name
  }

  async open(work: () => Promise<void>): Promise<void> {
    if (this.#phase === 'closing' || this.#phase === 'closed') throw this.notOpen('open')
    if (this.#phase !== 'new') {
      throw new SemelError('ENGINE_OPEN_FAILED', `this ${this.#name} engine is already in use`, {
        hint: 'make one engine object for each bus',
      })
    }
    this.#phase = 'opening'
    this.#opening = work()
    try {
      await this.#opening
      this.#phase = 'open'
    } catch (cause) {
      this.#phase = 'new'
      if (isSemelError(cause) || cause instanceof AssertionFailure) throw cause
      throw new SemelError('ENGINE_OPEN_FAILED', `the ${this.#name} engine could not be opened`, { cause })
    } finally {
      this.#opening = undefined
    }
  }

  /** Twice is fine: both wait for the same end. `before` ends what would otherwise run on. */
  close(before: () => Promise<void>, work: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(before, work)
    return this.#closing
  }

  async #close(before: () => Promise<void>, work: () => Promise<void>): Promise<void> {
    await this.#opening?.catch(() => undefined)
    const wasOpen = this.#phase === 'open'
    this.#phase = 'closing'
    try {
      if (!wasOpen) return
      await before()
      await this.#idle()
      // Operations that were under way may have left something new behind.
      await before()
      await work()
    } finally {
      this.#phase = 'closed'
    }
  }

  async #idle(): Promise<void> {
    if (this.#running === 0) return
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
  }

  requireOpen(operation: string): void {
    if (this.#phase !== 'open' || this.#closing !== undefined) throw this.notOpen(operation)
  }

  notOpen(operation: string): SemelError {
    const isNew = this.#phase === 'new' || this.#phase === 'opening'
    return new SemelError('BUS_CLOSED', `${operation}: the bus is ${isNew ? 'not open yet' : 'closed'}`)
  }

  /** What fails without a word about its outcome may have happened (U1). */
  async write<T>(operation: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.requireOpen(operation)
    return await this.#run(operation, 'unknown', work, signal)
  }

  async read<T>(operation: string, work: () => Promise<T>): Promise<T> {
    this.requireOpen(operation)
    return await this.#run(operation, 'not-applied', work)
  }

  /** A step of something that was begun before: it may still end while the engine closes. */
  async inside<T>(operation: string, work: () => Promise<T>): Promise<T> {
    if (this.#phase !== 'open' && this.#phase !== 'closing') throw this.notOpen(operation)
    return await this.#run(operation, 'not-applied', work)
  }

  async #run<T>(
    operation: string,
    outcome: 'unknown' | 'not-applied',
    work: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#running += 1
    try {
      return await work()
    } catch (cause) {
      if (isSemelError(cause) || cause instanceof AssertionFailure) throw cause
      if (signal?.aborted && cause === signal.reason) throw cause
      throw new SemelError('ENGINE_FAILED', `the ${this.#name} engine failed in ${operation}`, {
        outcome,
        cause,
      })
    } finally {
      this.#running -= 1
      if (this.#running === 0) this.#onIdle?.()
    }
  }
}
