import type { Row, Unit, UnitTransaction } from '../../engine/engine.ts'
import { assert } from '../../errors.ts'
import { toUnitRequest } from './encode-request.ts'
import type { WriterClient } from './writer-client.ts'

/** A user transaction: its statements run in the writer thread, one round trip each. */
export class SqliteTransaction implements UnitTransaction {
  readonly #writer: WriterClient
  readonly #session: number
  readonly #onCommitted: () => void
  readonly client = undefined

  constructor(writer: WriterClient, session: number, onCommitted: () => void) {
    this.#writer = writer
    this.#session = session
    this.#onCommitted = onCommitted
  }

  async query(text: string, params: readonly unknown[]): Promise<readonly Row[]> {
    const rows = await this.#writer.sessionRequest({ op: 'query', text, params }, this.#session)
    assert(Array.isArray(rows), 'a query is answered with rows')
    return rows
  }

  async mark(): Promise<void> {
    await this.#writer.sessionRequest({ op: 'mark' }, this.#session)
  }

  async restore(): Promise<void> {
    await this.#writer.sessionRequest({ op: 'restore' }, this.#session)
  }

  async commit(unit: Unit): Promise<void> {
    await this.#writer.sessionRequest({ op: 'finish', unit: toUnitRequest(unit) }, this.#session)
    if (unit.appends.length > 0) this.#onCommitted()
  }

  async rollback(): Promise<void> {
    await this.#writer.sessionRequest({ op: 'rollback' }, this.#session)
  }
}
