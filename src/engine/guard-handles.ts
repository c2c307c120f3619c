import { SemelError } from '../errors.ts'
import type { Lease, Membership, Row, Unit, UnitTransaction } from './engine.ts'
import type { EngineFacts } from './facts.ts'
import { checkUnit } from './guard-checks.ts'
import type { OpenState } from './guard-state.ts'

export class GuardedMembership implements Membership {
  readonly #membership: Membership
  readonly #onLeft: () => void
  #left: Promise<void> | undefined

  constructor(membership: Membership, onLeft: () => void) {
    this.#membership = membership
    this.#onLeft = onLeft
  }

  leave(): Promise<void> {
    this.#left ??= this.#membership.leave().finally(this.#onLeft)
    return this.#left
  }

  giveBack(lease: Lease): void {
    this.#membership.giveBack(lease)
  }
}

/** Ends once: what comes after `commit` or `rollback` is TX_CLOSED, except a rollback, which then is nothing to do. */
export class GuardedTransaction implements UnitTransaction {
  readonly #transaction: UnitTransaction
  readonly #facts: EngineFacts
  readonly #state: OpenState
  readonly #onEnd: () => void
  #ended = false

  constructor(transaction: UnitTransaction, facts: EngineFacts, state: OpenState, onEnd: () => void) {
    this.#transaction = transaction
    this.#facts = facts
    this.#state = state
    this.#onEnd = onEnd
  }

  get client(): unknown {
    return this.#transaction.client
  }

  query(text: string, params: readonly unknown[]): Promise<readonly Row[]> {
    return this.#state.inside('query', () => this.#current().query(text, params))
  }

  mark(): Promise<void> {
    return this.#state.inside('mark', () => this.#current().mark())
  }

  get queryAhead(): UnitTransaction['queryAhead'] {
    if (this.#transaction.queryAhead === undefined) return undefined
    return (statements) => this.#state.inside('query', () => this.#current().queryAhead!(statements))
  }

  restore(from?: number): Promise<void> {
    return this.#state.inside('restore', () => this.#current().restore(from))
  }

  commit(unit: Unit): Promise<void> {
    return this.#state.write('commit', async () => {
      const transaction = this.#current()
      checkUnit(unit, this.#facts)
      this.#end()
      await transaction.commit(unit)
    })
  }

  /** Also while the engine closes: that is how transactions end that nobody ended. */
  async rollback(): Promise<void> {
    if (this.#ended) return
    this.#end()
    await this.#state.inside('rollback', () => this.#transaction.rollback())
  }

  #current(): UnitTransaction {
    if (this.#ended) throw new SemelError('TX_CLOSED', 'this transaction has ended')
    return this.#transaction
  }

  #end(): void {
    this.#ended = true
    this.#onEnd()
  }
}
