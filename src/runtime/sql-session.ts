import type { Engine, Lease, Row, UnitTransaction } from '../engine/engine.ts'
import { SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Slot } from './slot.ts'

interface Waiter {
  readonly slot: Slot
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * The one database transaction of a task's open unit, lent to one event at a time.
 *
 *  CLOSED -> OPEN    an event asks for SQL and no commit is under way
 *  OPEN   -> LENT    to the event; a mark is set, so that its statements can be undone alone
 *  LENT   -> OPEN    the event settled: kept if it succeeded, restored to the mark if it failed
 *  OPEN   -> CLOSED  the unit commits through it, or the session is abandoned
 * Events that want SQL wait their turn; while the unit commits, and once the transaction is old, nobody gets it.
 */
export class SqlSession {
  readonly #engine: Engine
  readonly #lease: Lease
  readonly #signal: AbortSignal
  readonly #now: () => number
  readonly #waiters: Waiter[] = []
  #transaction: UnitTransaction | undefined
  #openedMs = 0
  #holder: Slot | undefined
  #turning = false
  #frozen = false

  constructor(engine: Engine, lease: Lease, signal: AbortSignal, now: () => number) {
    this.#engine = engine
    this.#lease = lease
    this.#signal = signal
    this.#now = now
  }

  /** Whether an event holds the transaction now: then the unit cannot be sealed. */
  get busy(): boolean {
    return this.#holder !== undefined || this.#turning
  }

  get isOpen(): boolean {
    return this.#transaction !== undefined
  }

  /** Whether the open transaction should end soon, so that others get at the database. */
  get isOld(): boolean {
    return this.#transaction !== undefined && this.#now() - this.#openedMs >= limits.sqlUnitAgeMsMax
  }

  get client(): unknown {
    return this.#transaction?.client
  }

  /** Makes `slot` the holder, waiting for its turn. */
  async enter(slot: Slot): Promise<void> {
    if (this.#engine.facts.sql === undefined) {
      throw new SemelError(
        'UNSUPPORTED',
        `tx.query needs an engine with SQL; ${this.#engine.facts.name} has none`,
        {
          field: 'tx.query',
        },
      )
    }
    if (this.#holder === slot && !this.#turning) return
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ slot, resolve, reject })
      this.#next()
    })
  }

  async query(text: string, params: readonly unknown[]): Promise<readonly Row[]> {
    return await this.#transaction!.query(text, params)
  }

  /** Whether `slot` holds the transaction or waits for it. */
  concerns(slot: Slot): boolean {
    return this.#holder === slot || this.#waiters.some((waiter) => waiter.slot === slot)
  }

  /** The event settled. Resolves when its statements are kept or undone. */
  async leave(slot: Slot, keep: boolean): Promise<void> {
    const waiting = this.#waiters.findIndex((waiter) => waiter.slot === slot)
    if (waiting >= 0) {
      this.#waiters
        .splice(waiting, 1)[0]!
        .reject(new SemelError('TX_CLOSED', 'the attempt ended before its turn came'))
    }
    if (this.#holder !== slot) return
    if (!keep) await this.#transaction?.restore()
    this.#holder = undefined
    this.#next()
  }

  /** Nobody gets the transaction until `thaw`; used while a unit is committing. */
  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    this.#next()
  }

  /** Hands the open transaction to the committer, which ends it. */
  takeTransaction(): UnitTransaction | undefined {
    const transaction = this.#transaction
    this.#transaction = undefined
    return transaction
  }

  /** Rolls back and refuses everybody: the task's session is over. */
  async abandon(reason: Error): Promise<void> {
    this.#frozen = true
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason)
    const transaction = this.takeTransaction()
    this.#holder = undefined
    await transaction?.rollback().catch(() => undefined)
  }

  #next(): void {
    if (this.#frozen || this.#turning || this.#holder !== undefined || this.isOld) return
    const waiter = this.#waiters.shift()
    if (waiter === undefined) return
    this.#turning = true
    void this.#lend(waiter)
  }

  async #lend(waiter: Waiter): Promise<void> {
    try {
      if (this.#transaction === undefined) {
        this.#transaction = await this.#engine.begin(this.#lease, this.#signal)
        this.#openedMs = this.#now()
      }
      await this.#transaction.mark()
      this.#holder = waiter.slot
      this.#turning = false
      waiter.resolve()
    } catch (error) {
      this.#turning = false
      waiter.reject(error instanceof Error ? error : new Error(String(error)))
      this.#next()
    }
  }
}
