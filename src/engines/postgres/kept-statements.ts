import type { PgWire } from './driver.ts'

export interface KeptStatement {
  readonly name: string
  /** Whether the server has told what rows it gives. */
  isDescribed: boolean
  /** The driver's message that describes its rows, once the server has sent it; of a statement without rows there is none. */
  rows: unknown
}

/** Names that a transaction uses: more texts than that are parsed each time. */
const namesMax = 32

/**
 * Statements that the server keeps by name, so that each text is parsed and planned once per transaction and not once
 * per event. Only for one transaction: a pooler may give the next one another session (Q9). So nothing is believed of
 * a name that another transaction left behind: it is closed before it is used, which is no error if there is none.
 */
export class KeptStatements {
  readonly #kept = new Map<string, KeptStatement>()

  /** What ran since may have changed or dropped anything, or the server did not come to keep them: parse again. */
  forget(): void {
    this.#kept.clear()
  }

  /** The statement if the server has it by now or will have by what was sent. */
  find(text: string): KeptStatement | undefined {
    return this.#kept.get(text)
  }

  /** Sends the text to be kept. `undefined`: there is no name left for it. */
  send(wire: PgWire, text: string): KeptStatement | undefined {
    if (this.#kept.size >= namesMax) return undefined
    const statement: KeptStatement = { name: `semel_${this.#kept.size}`, isDescribed: false, rows: undefined }
    this.#kept.set(text, statement)
    wire.close({ type: 'S', name: statement.name })
    wire.parse({ text, name: statement.name })
    return statement
  }

  /** Runs a command, which has no values. */
  run(wire: PgWire, text: string): void {
    const statement = this.find(text) ?? this.send(wire, text)
    if (statement === undefined) wire.parse({ text })
    wire.bind({ statement: statement?.name })
    wire.execute({})
  }
}
