import type { Engine, Lease, Row, SqlStatement, StatementAnswer, UnitTransaction } from '../engine/engine.ts'
import { SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Slot } from './slot.ts'
import { StatementsTogether } from './statements-together.ts'

interface Waiter {
  readonly slot: Slot
  /** What it will run first, if that may be sent before its turn. */
  readonly statement: SqlStatement | undefined
  /** Its turn has come; with the rows if the statement has run. */
  readonly resolve: (rows: readonly Row[] | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Statements that were sent together. */
interface SentRow {
  /** Known once it was answered. */
  answers: readonly StatementAnswer[] | undefined
  readonly answered: Promise<void>
  roundTripMs: number
}

/**
 * The one database transaction of a task's open unit, lent to one event at a time.
 *
 *  CLOSED -> OPEN    an event asks for SQL and no commit is under way
 *  OPEN   -> LENT    to the event; a mark is set, so that its statements can be undone alone
 *  LENT   -> OPEN    the event settled: kept if it succeeded, restored to the mark if it failed
 *  OPEN   -> CLOSED  the unit commits through it, or the session is abandoned
 * Events that want SQL wait their turn; while the unit commits, and once the transaction is old, nobody gets it.
 *
 * A round trip for each event would be most of the work. So the first statements of those who wait are sent together, in
 * the order of their turns, and each event gets its answer when its turn comes. If the event before it then runs another
 * statement or fails, what was sent ahead is undone, seen by nobody, and sent again: nothing differs but the time. Then
 * fewer are sent together for a while, and only one where each handler runs several.
 */
export class SqlSession {
  readonly #engine: Engine
  readonly #lease: Lease
  readonly #signal: AbortSignal
  readonly #now: () => number
  #waiters: Waiter[] = []
  /** Slots that asked, until they leave; and those that asked again before: only they can be among the waiters twice. */
  readonly #asked = new Set<Slot>()
  readonly #askedAgain = new Set<Slot>()
  #transaction: UnitTransaction | undefined
  #openedMs = 0
  #holder: Slot | undefined
  /** The holder and those behind it whose statements were sent together, in the order of their turns; empty if the holder's was not. */
  #ahead: Waiter[] = []
  #row: SentRow | undefined
  /** The holder's place among them. */
  #place = 0
  readonly #together = new StatementsTogether()
  #turning = false
  #frozen = false
  /** Statements that are being undone: nothing else is sent until they are. */
  #undoing = 0
  #undone: Promise<void> = Promise.resolve()

  constructor(engine: Engine, lease: Lease, signal: AbortSignal, now: () => number) {
    this.#engine = engine
    this.#lease = lease
    this.#signal = signal
    this.#now = now
  }

  /** Whether an event holds the transaction now: then the unit cannot be sealed. */
  get busy(): boolean {
    return this.#holder !== undefined || this.#turning || this.#undoing > 0
  }

  get isOpen(): boolean {
    return this.#transaction !== undefined
  }

  /** Whether the open transaction should end soon, so that others get at the database. */
  get isOld(): boolean {
    return this.#isOlderThan(limits.sqlUnitAgeMsMax)
  }

  #isOlderThan(ms: number): boolean {
    return this.#transaction !== undefined && this.#now() - this.#openedMs >= ms
  }

  get client(): unknown {
    return this.#transaction?.client
  }

  /**
   * Makes `slot` the holder, waiting for its turn. `statement` is what it will run first; the rows are the answer if it
   * ran meanwhile, otherwise it is for the caller to run.
   */
  enter(slot: Slot, statement?: SqlStatement): Promise<readonly Row[] | undefined> {
    if (this.#engine.facts.sql === undefined) return Promise.reject(withoutSql(this.#engine.facts.name))
    if (this.#holder === slot && !this.#turning) return this.#stay()
    return new Promise((resolve, reject) => {
      if (this.#asked.has(slot)) this.#askedAgain.add(slot)
      else this.#asked.add(slot)
      this.#waiters.push({ slot, statement, resolve, reject })
      this.#next()
    })
  }

  /** The holder wants to run another statement. */
  async #stay(): Promise<undefined> {
    this.#together.fewer(this.#place)
    await this.#undoFrom(this.#place + 1)
  }

  async query({ text, params }: SqlStatement): Promise<readonly Row[]> {
    return await this.#transaction!.query(text, params)
  }

  /** Whether `slot` holds the transaction or waits for it. */
  concerns(slot: Slot): boolean {
    const isOf = (waiter: Waiter): boolean => waiter.slot === slot
    return this.#holder === slot || this.#ahead.some(isOf) || this.#waiters.some(isOf)
  }

  /** The event succeeded and asks for nothing more: its turn is over at once. Otherwise it has to `leave`. */
  pass(slot: Slot): boolean {
    if (this.#holder !== slot || this.#undoing > 0 || this.#isOlderThan(limits.sqlUnitOverdueMs)) return false
    if (this.#isWaitingToo(slot)) return false
    this.#forget(slot)
    this.#endTurn()
    return true
  }

  /** The event settled. Resolves when its statements are kept or undone. */
  async leave(slot: Slot, keep: boolean): Promise<void> {
    this.#forget(slot)
    const gone = this.#waiters.filter((waiter) => waiter.slot === slot)
    this.#waiters = this.#waiters.filter((waiter) => waiter.slot !== slot)
    const sent = this.#ahead.findIndex((waiter, n) => n > this.#place && waiter.slot === slot)
    if (sent >= 0) gone.push(this.#ahead[sent]!)
    for (const waiter of gone)
      waiter.reject(new SemelError('TX_CLOSED', 'the attempt ended before its turn came'))
    if (sent >= 0) {
      await this.#undoFrom(sent, slot)
      this.#next()
    }
    if (this.#holder !== slot) return
    if (!keep) {
      this.#together.fewer(this.#place)
      await (this.#ahead.length > 0 ? this.#undoFrom(this.#place, slot) : this.#transaction?.restore())
      // The unit shall end now: those behind get their turn in the next one.
    } else if (this.#isOlderThan(limits.sqlUnitOverdueMs)) await this.#undoFrom(this.#place + 1)
    if (this.#holder === slot) this.#endTurn()
  }

  /** Whether the slot has more to ask than what it had its turn for. */
  #isWaitingToo(slot: Slot): boolean {
    return this.#askedAgain.has(slot) && this.#waiters.some((waiter) => waiter.slot === slot)
  }

  #forget(slot: Slot): void {
    this.#asked.delete(slot)
    this.#askedAgain.delete(slot)
  }

  #endTurn(): void {
    if (++this.#place < this.#ahead.length) this.#lendAhead()
    else {
      if (this.#ahead.length > 0) this.#together.ended(this.#ahead.length, this.#row!.roundTripMs)
      this.#ahead = []
      this.#holder = undefined
      this.#next()
    }
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
    const refused = [...this.#ahead.splice(0), ...this.#waiters.splice(0)]
    for (const waiter of refused) waiter.reject(reason)
    const transaction = this.takeTransaction()
    this.#holder = undefined
    await transaction?.rollback().catch(() => undefined)
  }

  #next(): void {
    if (this.#frozen || this.busy || this.isOld) return
    if (this.#waiters.length === 0) return
    this.#turning = true
    void this.#lend()
  }

  /** To whoever is first in line when all is ready: an event may leave while the server is asked. */
  async #lend(): Promise<void> {
    try {
      if (this.#transaction === undefined) {
        this.#transaction = await this.#engine.begin(this.#lease, this.#signal)
        this.#openedMs = this.#now()
      }
      const { queryAhead } = this.#transaction
      const isAhead = queryAhead !== undefined && this.#waiters[0]?.statement !== undefined
      if (!isAhead) await this.#transaction.mark()
      this.#turning = false
      if (isAhead) {
        this.#sendAhead(queryAhead)
        return
      }
      const waiter = this.#waiters.shift()
      if (waiter === undefined) return
      waiter.resolve(undefined)
      this.#lendTo(waiter)
    } catch (error) {
      this.#turning = false
      this.#waiters.shift()?.reject(error)
      this.#next()
    }
  }

  #sendAhead(queryAhead: NonNullable<UnitTransaction['queryAhead']>): void {
    const together: Waiter[] = []
    const slots = new Set<Slot>()
    for (const waiter of this.#waiters) {
      const { slot, statement } = waiter
      if (statement === undefined || slots.has(slot) || together.length === this.#together.next) break
      slots.add(slot)
      together.push(waiter)
    }
    const sentMs = this.#now()
    const row: SentRow = {
      answers: undefined,
      answered: queryAhead(together.map(({ statement }) => statement!)).then((answers) => {
        row.answers = answers
        row.roundTripMs = this.#now() - sentMs
      }),
      roundTripMs: 0,
    }
    // Who is not told yet shall not make an error that nobody handles.
    row.answered.catch(() => undefined)
    this.#waiters = this.#waiters.slice(together.length)
    this.#ahead = together
    this.#row = row
    this.#place = 0
    this.#together.sent()
    this.#lendAhead()
  }

  #lendAhead(): void {
    const [place, row] = [this.#place, this.#row!]
    const waiter = this.#ahead[place]!
    if (row.answers !== undefined) answer(waiter, row.answers[place])
    else row.answered.then(() => answer(waiter, row.answers![place]), waiter.reject)
    this.#lendTo(waiter)
  }

  /** Whatever else the event asked for at once may go on with it. */
  #lendTo({ slot }: Waiter): void {
    this.#holder = slot
    if (!this.#isWaitingToo(slot)) return
    const isOf = (waiter: Waiter): boolean => waiter.slot === slot
    this.#together.fewer(this.#place)
    const more = this.#waiters.filter(isOf)
    this.#waiters = this.#waiters.filter((waiter) => !isOf(waiter))
    this.#undoFrom(this.#place + 1).then(
      () => {
        for (const { resolve } of more) resolve(undefined)
      },
      (error: unknown) => {
        for (const { reject } of more) reject(error)
      },
    )
  }

  /** Undoes what was sent ahead from this place on. Those concerned wait again, first in line, except `leaving`. */
  async #undoFrom(place: number, leaving?: Slot): Promise<void> {
    const undone = this.#ahead.splice(place)
    if (undone.length > 0) {
      this.#waiters.unshift(...undone.filter(({ slot }) => slot !== leaving))
      const transaction = this.#transaction
      this.#undoing++
      this.#undone = this.#undone
        .then(() => transaction?.restore(place))
        .finally(() => {
          this.#undoing--
        })
    }
    await this.#undone
  }
}

function answer({ resolve, reject }: Waiter, given: StatementAnswer): void {
  if (given instanceof Error) reject(given)
  else resolve(given)
}

function withoutSql(engine: string): SemelError {
  return new SemelError('UNSUPPORTED', `tx.query needs an engine with SQL; ${engine} has none`, {
    field: 'tx.query',
  })
}
