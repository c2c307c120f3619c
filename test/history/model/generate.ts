import { SeededRandom } from '../../../src/platform/seeded-random.ts'
import type {
  CheckOptions,
  HistoryClient,
  HistoryEvent,
  OpenOperation,
  PolledRecord,
} from '../../../src/testing/history/index.ts'
import { checkEvent, HistoryRecorder } from '../../../src/testing/history/index.ts'
import { group, Owner, sink } from './owner.ts'
import { Producer, partitionOfKey } from './producer.ts'
import { type Event, partitions, TrueLog, topic } from './true-log.ts'

export const modelOptions: CheckOptions = {
  deadlineMs: 10_000,
  graceMs: 1_000,
  partitionOf: (_, key) => partitionOfKey(key),
}

/** Reads in sessions, each partition from wherever it was told to. */
class Reader {
  readonly #log: TrueLog
  readonly #random: SeededRandom
  readonly #client: HistoryClient
  #next = Array.from({ length: partitions }, () => 0)
  #open: { operation: OpenOperation<'poll'>; recs: Record<string, PolledRecord[]> } | undefined

  constructor(client: HistoryClient, log: TrueLog, random: SeededRandom) {
    this.#client = client
    this.#log = log
    this.#random = random
  }

  step(): void {
    if (this.#random.below(25) === 0 && this.#open === undefined) this.#reassign()
    else if (this.#open === undefined)
      this.#open = { operation: this.#client.start('poll', { topic }), recs: {} }
    else this.#settle(this.#open)
  }

  /** The final reads: all of it, in a new session. */
  finish(): void {
    this.#renew()
    for (;;) {
      const before = this.#next.join()
      const open = { operation: this.#client.start('poll', { topic }), recs: this.#take(8) }
      open.operation.ok({ recs: open.recs })
      if (this.#next.join() === before) return
    }
  }

  #settle({ operation }: { operation: OpenOperation<'poll'> }): void {
    this.#open = undefined
    const recs = this.#take(1 + this.#random.below(5))
    if (this.#random.below(15) > 0) operation.ok({ recs })
    else {
      // What a failed poll brought counts; whoever reads on starts anew.
      operation.info('TIMEOUT', { recs })
      this.#client.newSession()
    }
  }

  #take(count: number): Record<string, PolledRecord[]> {
    const recs: Record<string, PolledRecord[]> = {}
    for (let p = 0; p < partitions; p++) {
      const stored = this.#log.from(p, this.#next[p]!, count)
      if (stored.length === 0) continue
      recs[p] = stored.map(({ off, event }) => [off, event.id, event.val, event.crc, event.key])
      this.#next[p] = stored.at(-1)!.off + 1
    }
    return recs
  }

  #reassign(): void {
    const p = this.#random.below(partitions)
    this.#client.note(this.#random.below(2) === 0 ? 'assign' : 'seek', { topic, p })
    this.#next[p] = this.#random.below(this.#log.end(p) + 1)
  }

  #renew(): void {
    this.#open?.operation.info('CLOSED')
    this.#open = undefined
    this.#client.newSession()
    this.#next = this.#next.map(() => 0)
  }
}

class Run {
  readonly events: HistoryEvent[] = []
  readonly #random: SeededRandom
  readonly #log: TrueLog
  readonly #recorders: HistoryRecorder[]
  readonly #admin: HistoryClient
  #t = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#log = new TrueLog(this.#random)
    this.#recorders = ['n1', 'n2'].map((node) => this.#recorder(node))
    this.#admin = this.#client('admin')
  }

  play(steps: number): void {
    const producers = ['a', 'b'].map(
      (name) => new Producer(name, this.#client(name), this.#log, this.#random),
    )
    const readers = ['r', 's'].map((name) => new Reader(this.#client(name), this.#log, this.#random))
    const owners = Array.from({ length: partitions }, (_, p) => this.#owner(p))
    const actors = [...producers, ...producers, ...readers, ...owners]
    for (let n = 0; n < steps; n++) {
      const choice = this.#random.below(actors.length + 1)
      if (choice < actors.length) actors[choice]!.step()
      else this.#look()
    }
    for (const producer of producers) producer.finish()
    for (const owner of owners) owner.finish()
    for (const reader of readers) reader.finish()
    for (let p = 0; p < partitions; p++) this.#scan(p, 0, this.#log.end(p))
    this.#ledger()
    this.#admin.note('phase', { name: 'final' })
  }

  /** Recoveries, scans, faults and requests: each a moment. */
  #look(): void {
    const p = this.#random.below(partitions)
    const choice = this.#random.below(5)
    if (choice === 0) {
      const torn = this.#random.below(2) * 17
      this.#admin.start('recovered', { topic, p }).ok({ end: this.#log.end(p), logId: `log-${p}`, torn })
    } else if (choice === 1) this.#scan(p, 0, this.#log.end(p))
    else if (choice === 2) this.#admin.note('fault', { name: 'pause', state: 'on' })
    else if (choice === 3) this.#admin.note('fault', { name: 'pause', state: 'off' })
    else this.#request()
  }

  #scan(p: number, from: number, to: number): void {
    const scan = this.#admin.start('scan', { topic, p, from, to })
    scan.ok(this.#log.hash(p, from, to))
  }

  #request(): void {
    const key = `key-${this.#random.below(4)}`
    const http = this.#admin.start('http', { key })
    if (this.#random.below(4) === 0) http.ok({ status: 409, bodyHash: 'busy' })
    else http.ok({ status: 201, bodyHash: `body of ${key}` })
  }

  /** What the sink holds at the end: all but the dead letters. */
  #ledger(): void {
    const balances = new Map<string, Event[]>()
    const parked = new Set(
      this.events.flatMap((event) =>
        event.f === 'dlq' && event.type === 'invoke' ? [`${event.v.p} ${event.v.off}`] : [],
      ),
    )
    for (const [p, stored] of this.#log.stored.entries()) {
      for (const { off, event } of stored) {
        if (!parked.has(`${p} ${off}`)) balances.set(event.key, [...(balances.get(event.key) ?? []), event])
      }
    }
    for (const [key, events] of balances) {
      const amounts = events.map(({ n }) => n)
      this.#admin.observed('ledger', {
        sink,
        g: group,
        topic,
        key,
        sum: amounts.reduce((sum, n) => sum + n, 0),
        count: amounts.length,
        min: Math.min(...amounts),
        max: Math.max(...amounts),
      })
    }
  }

  #owner(p: number): Owner {
    let count = 0
    return new Owner(p, this.#log, this.#random, () => this.#client(`owner-${p}-${count++}`))
  }

  #client(name: string): HistoryClient {
    return this.#recorders[this.#random.below(this.#recorders.length)]!.client(name)
  }

  #recorder(node: string): HistoryRecorder {
    const file = {
      append: (line: string) => {
        this.events.push(checkEvent(JSON.parse(line), this.events.length + 1))
      },
    }
    const clock = { monotonic: () => (this.#t += this.#random.below(20) / 10) }
    return new HistoryRecorder({ node, clock, file })
  }
}

/** A valid history: what the clients of a right engine were told and saw, decided by the seed alone. */
export function generate(seed: number, steps = 120): HistoryEvent[] {
  const run = new Run(seed)
  run.play(steps)
  return run.events
}
