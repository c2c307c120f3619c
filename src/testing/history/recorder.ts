import type { Calls, HistoryEvent, NoteName, Notes, OperationName, ReplyOf, Settled } from './record.ts'

/** Monotonic milliseconds. All processes of a run read the same clock, or merging would invent an order. */
export interface HistoryClock {
  monotonic(): number
}

/**
 * Where lines go. `append` returns when the whole line was handed to the kernel in one write: the page cache
 * survives the SIGKILL that this history is about to be judged for.
 */
export interface HistoryFile {
  append(line: string): void
}

export interface RecorderOptions {
  /** Name of this process, unique in the run. */
  readonly node: string
  readonly clock: HistoryClock
  readonly file: HistoryFile
}

/** Writes down what one process asked and was told (faults.md 3.1). One for each process; merge them afterwards. */
export class HistoryRecorder {
  readonly node: string
  readonly #clock: HistoryClock
  readonly #file: HistoryFile
  #lines = 0
  #clients = 0
  #lastT = -Infinity

  constructor({ node, clock, file }: RecorderOptions) {
    this.node = node
    this.#clock = clock
    this.#file = file
  }

  /** A logical client with a session of its own. */
  client(name = `c${this.#clients}`): HistoryClient {
    this.#clients++
    return new HistoryClient(this, `${this.node}/${name}`)
  }

  /** One line. Returns its number. */
  write(line: Readonly<Record<string, unknown>>): number {
    const i = this.#lines++
    this.#lastT = Math.max(this.#lastT, this.#clock.monotonic())
    this.#file.append(`${JSON.stringify({ i, t: this.#lastT, node: this.node, ...line })}\n`)
    return i
  }
}

/**
 * One logical client. Operations may overlap, as pipelined publishes do; each settles by its own handle. After an
 * unknown outcome the client goes on under a new process name, for the old one is busy for ever.
 */
export class HistoryClient {
  readonly #recorder: HistoryRecorder
  readonly #name: string
  #generation = 0
  #session = 0

  constructor(recorder: HistoryRecorder, name: string) {
    this.#recorder = recorder
    this.#name = name
  }

  get proc(): string {
    return `${this.#name}.${this.#generation}`
  }

  get sess(): string {
    return `${this.#name}#${this.#session}`
  }

  /** A new producer or consumer was opened: order is promised within one session only. */
  newSession(): void {
    this.#session++
  }

  /** Writes the invoke. Call it before the call itself. */
  start<F extends OperationName>(f: F, call: Calls[F]): OpenOperation<F> {
    const { proc, sess } = this
    const i = this.#recorder.write({ proc, sess, type: 'invoke', f, v: call })
    return new OpenOperation(this, f, proc, sess, i)
  }

  /** A line about one moment. */
  note<F extends NoteName>(f: F, v: Notes[F]): void {
    this.#recorder.write({ proc: this.proc, sess: this.sess, type: 'info', f, v })
  }

  /** An observation without an invoke: an effect read from its sink, a lease that was granted. */
  observed<F extends 'effect' | 'acquire' | 'renew' | 'open' | 'recovered' | 'scan' | 'ledger'>(
    f: F,
    v: Calls[F],
  ): void {
    this.#recorder.write({ proc: this.proc, sess: this.sess, type: 'ok', f, v })
  }

  /**
   * Records `work` whole. What it throws is `info` unless `notApplied` is certain that nothing happened; the error
   * goes on to the caller.
   */
  async run<F extends OperationName>(
    f: F,
    call: Calls[F],
    work: () => Promise<ReplyOf<F>>,
    notApplied: (error: unknown) => boolean,
  ): Promise<ReplyOf<F>> {
    const operation = this.start(f, call)
    try {
      const reply = await work()
      operation.ok(reply)
      return reply
    } catch (error) {
      if (notApplied(error)) operation.fail(errorCode(error))
      else operation.info(errorCode(error))
      throw error
    }
  }

  settle(of: number, f: OperationName, proc: string, sess: string, type: Settled, rest: object): void {
    this.#recorder.write({ of, proc, sess, type, f, ...rest })
    if (type === 'info' && proc === this.proc) this.#generation++
  }
}

/** An operation that was sent. Settle it once; a later word about it is a mistake of the harness. */
export class OpenOperation<F extends OperationName> {
  readonly #client: HistoryClient
  readonly #f: F
  readonly #proc: string
  readonly #sess: string
  readonly #i: number
  #settled = false

  constructor(client: HistoryClient, f: F, proc: string, sess: string, i: number) {
    this.#client = client
    this.#f = f
    this.#proc = proc
    this.#sess = sess
    this.#i = i
  }

  ok(v?: ReplyOf<F>): void {
    this.#settle('ok', { v })
  }

  /** Only for NotApplied. Data that was polled before the failure counts, so hand it over (faults.md 3.1). */
  fail(err: string, v?: ReplyOf<F>): void {
    this.#settle('fail', { err, v })
  }

  /** Unknown: may have happened, may happen later, or never. */
  info(err: string, v?: ReplyOf<F>): void {
    this.#settle('info', { err, v })
  }

  #settle(type: Settled, rest: object): void {
    if (this.#settled) throw new Error(`operation ${this.#i} (${this.#f}) was settled twice`)
    this.#settled = true
    this.#client.settle(this.#i, this.#f, this.#proc, this.#sess, type, rest)
  }
}

/** The code, never the message: messages may hold what no history should (faults.md 4.5). */
function errorCode(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code
  return error instanceof Error ? error.name : 'unknown'
}

/** One history of many, by time; lines of one recorder stay in their order. Can be read more than once. */
export function mergeHistories(histories: readonly Iterable<HistoryEvent>[]): Iterable<HistoryEvent> {
  return { [Symbol.iterator]: () => merged(histories) }
}

function* merged(histories: readonly Iterable<HistoryEvent>[]): Generator<HistoryEvent> {
  const heads: { event: HistoryEvent; rest: Iterator<HistoryEvent> }[] = []
  for (const history of histories) {
    const rest = history[Symbol.iterator]()
    const first = rest.next()
    if (!first.done) heads.push({ event: first.value, rest })
  }
  while (heads.length > 0) {
    let least = 0
    for (let n = 1; n < heads.length; n++) if (isBefore(heads[n]!.event, heads[least]!.event)) least = n
    const head = heads[least]!
    yield head.event
    const next = head.rest.next()
    if (next.done) heads.splice(least, 1)
    else head.event = next.value
  }
}

/** Of two lines at one time an invoke goes first: then the operations count as concurrent, and nothing is claimed. */
function isBefore(a: HistoryEvent, b: HistoryEvent): boolean {
  if (a.t !== b.t) return a.t < b.t
  if ((a.type === 'invoke') !== (b.type === 'invoke')) return a.type === 'invoke'
  return a.i < b.i
}
