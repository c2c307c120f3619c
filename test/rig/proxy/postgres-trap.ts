import { realPlatform } from '../../../src/platform/real-platform.ts'
import { orLate } from '../../../src/platform/wait.ts'
import type { Cut } from '../../../src/testing/faults/tcp-proxy.ts'

/**
 * What happens to the statement that walks into a trap:
 *  `drop-reply`   it is done by the server, its reply is dropped, and the connection is cut
 *  `hold-reply`   it is done by the server, its reply waits for `release`
 *  `hold-request` it waits for `release` before it reaches the server, also when its client has gone
 *  `cut-request`  it never reaches the server, and the connection is cut; what was sent before it does arrive
 */
export type TrapKind = 'drop-reply' | 'hold-reply' | 'hold-request' | 'cut-request'

export interface TrapOptions {
  readonly kind: TrapKind
  /** Which statements count; those that commit, if not given. Sees the text of simple and of prepared statements. */
  readonly statement?: (sql: string) => boolean
  /** The how many-th of them from now on, over all connections; the first if not given. */
  readonly nth?: number
  /** How connections are cut: by `reset` if not given. */
  readonly cutBy?: Cut
}

/** Also in a text of several statements. COMMIT PREPARED is another thing. */
export function isCommit(sql: string): boolean {
  return /(^|;)\s*(commit|end)\b(?!\s+prepared\b)/i.test(sql)
}

/** Catches one statement, once. */
export class Trap {
  readonly kind: TrapKind
  readonly cutBy: Cut
  /** What becomes of what is held. */
  readonly verdict: Promise<'release' | 'cut'>
  readonly #statement: (sql: string) => boolean
  readonly #decide: (verdict: 'release' | 'cut') => void
  readonly #sprung: Promise<void>
  readonly #spring: () => void
  #left: number

  constructor({ kind, statement = isCommit, nth = 1, cutBy = 'reset' }: TrapOptions) {
    this.kind = kind
    this.cutBy = cutBy
    this.#statement = statement
    this.#left = nth
    const sprung = Promise.withResolvers<void>()
    this.#sprung = sprung.promise
    this.#spring = sprung.resolve
    const verdict = Promise.withResolvers<'release' | 'cut'>()
    this.verdict = verdict.promise
    this.#decide = verdict.resolve
  }

  /** Resolves when it has caught: the reply came from the server and is dropped or held, or the request did not pass. */
  async sprung({ deadlineMs = 20_000 }: { readonly deadlineMs?: number } = {}): Promise<void> {
    const late = () => new Error(`nothing walked into the trap ${this.kind} within ${deadlineMs} ms`)
    await orLate(realPlatform, this.#sprung, deadlineMs, late)
  }

  get isOnReply(): boolean {
    return this.kind === 'drop-reply' || this.kind === 'hold-reply'
  }

  /** Passes on what is held. */
  release(): void {
    this.#decide('release')
  }

  /** Cuts the connection instead of passing on what is held. */
  cut(): void {
    this.#decide('cut')
  }

  /** True for the one statement that it catches. */
  catches(sql: string): boolean {
    if (this.#left === 0 || !this.#statement(sql)) return false
    this.#left--
    return this.#left === 0
  }

  /** The statement it caught was never run, as one before it had failed: it waits for the next. */
  missed(): void {
    this.#left = 1
  }

  /** The verdict on what it caught. */
  async spring(): Promise<'release' | 'cut'> {
    this.#spring()
    return this.kind === 'drop-reply' || this.kind === 'cut-request' ? 'cut' : await this.verdict
  }
}
