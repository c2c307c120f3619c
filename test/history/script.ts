import type {
  Calls,
  HistoryEvent,
  NoteName,
  Notes,
  OperationName,
  ReplyOf,
} from '../../src/testing/history/index.ts'
import { checkEvent, HistoryRecorder } from '../../src/testing/history/index.ts'

/** What is sent when nothing else is said: values a test does not care about. */
const topic = 'orders'
const stepMs = 10

/** Writes a history by hand, line by line, at ten milliseconds a line. */
export class Script {
  readonly events: HistoryEvent[] = []
  t = 0
  readonly #recorders = new Map<string, HistoryRecorder>()
  readonly #clients = new Map<string, ReturnType<HistoryRecorder['client']>>()

  client(name: string, node = 'node-1') {
    const full = `${node}/${name}`
    let client = this.#clients.get(full)
    if (client === undefined) {
      client = this.#recorder(node).client(name)
      this.#clients.set(full, client)
    }
    return client
  }

  start<F extends OperationName>(who: string, f: F, call: Calls[F], node?: string) {
    return this.client(who, node).start(f, call)
  }

  /** A call and its answer. */
  call<F extends OperationName>(who: string, f: F, call: Calls[F], reply?: ReplyOf<F>): void {
    this.start(who, f, call).ok(reply)
  }

  note<F extends NoteName>(who: string, f: F, v: Notes[F]): void {
    this.client(who).note(f, v)
  }

  sent(val: string, key: string | null = null, id: string | null = val) {
    return { topic, key, id, val, crc: val.length }
  }

  /** An acknowledged event at partition `p`, offset `off`. */
  publish(who: string, val: string, off: number, p = 0, dup = false): void {
    this.call(who, 'publish', this.sent(val), { p, off, dup })
  }

  /** A read of `[offset, value]` pairs, as they were sent. */
  poll(who: string, records: readonly (readonly [number, string])[], p = 0): void {
    this.call(who, 'poll', { topic }, { recs: this.records(records, p) })
  }

  records(records: readonly (readonly [number, string])[], p = 0) {
    return { [p]: records.map(([off, val]) => [off, val, val, val.length] as const) }
  }

  /** Events `a`, `b`, … at offsets 0, 1, …, acknowledged. */
  log(...vals: string[]): void {
    for (const [off, val] of vals.entries()) this.publish('writer', val, off)
  }

  step(off: number, rest: object = {}) {
    return { g: 'billing', topic, p: 0, off, ...rest }
  }

  handle(off: number, rest: object = {}, who = 'worker'): void {
    this.call(who, 'handle', this.step(off, rest))
  }

  commit(off: number, rest: object = {}, who = 'worker'): void {
    this.call(who, 'commit', this.step(off, rest))
  }

  #recorder(node: string): HistoryRecorder {
    let recorder = this.#recorders.get(node)
    if (recorder === undefined) {
      const file = { append: (line: string) => this.#append(line) }
      const clock = { monotonic: () => (this.t += stepMs) }
      recorder = new HistoryRecorder({ node, clock, file })
      this.#recorders.set(node, recorder)
    }
    return recorder
  }

  #append(line: string): void {
    this.events.push(checkEvent(JSON.parse(line), this.events.length + 1))
  }
}

export function script(write: (s: Script) => void): HistoryEvent[] {
  const written = new Script()
  write(written)
  return written.events
}
