import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { type KafkaOptions, kafka } from '../../../src/engines/kafka/index.ts'
import { type Bus, type LogEvent, openBus, topic } from '../../../src/index.ts'
import {
  checkHistory,
  type Gates,
  type HistoryEvent,
  HistoryProbe,
  HistoryRecorder,
  mergeHistories,
  reportText,
} from '../../../src/testing/history/index.ts'
import { hostClock } from '../../../src/testing/real-history-file.ts'
import { readAll } from '../../support/read-all.ts'
import { until } from '../../support/until.ts'
import { rdkafka } from './client.ts'

interface Order {
  readonly n: number
  readonly key: string
}
interface Total extends Order {
  readonly sum: number
}

const orders = topic<Order>('orders', { partitions: 4, dedup: false, key: ({ key }) => key })
const totals = topic<Total>('totals', { partitions: 2, dedup: false, key: ({ key }) => key })
const group = 'sums'
const lanes = 4
const leaseMs = 2_000
/** Brokers are missed after 3 s and silent ones after 5 s; the rest is a busy machine. */
const standstillMsMax = 60_000

interface Member {
  readonly bus: Bus
  readonly probe: HistoryProbe
}

/**
 * A group that sums, exactly once, and lanes that publish for it, each its next order when the last one was handled.
 * All that they ask and are told is recorded; `finish` judges it.
 */
export class JudgedGroup implements AsyncDisposable {
  readonly #options: KafkaOptions
  readonly #histories: HistoryEvent[][] = []
  readonly #handled = new Set<number>()
  readonly #buses = new Set<Bus>()
  readonly #nemesis = this.#recorder('nemesis').client('nemesis')
  #publisher!: Member
  #publishing: Promise<unknown> = Promise.resolve()
  #isEnding = false
  #orders = 0
  #members = 0

  private constructor(options: KafkaOptions) {
    this.#options = options
  }

  static async open(options: KafkaOptions, members: number): Promise<JudgedGroup> {
    const run = new JudgedGroup({ client: rdkafka, ...options })
    run.#publisher = await run.#openBus('publisher')
    for (let i = 0; i < members; i++) await run.join()
    run.#publishing = Promise.all(Array.from({ length: lanes }, (_, lane) => run.#publishOn(lane)))
    return run
  }

  /** One more member; answers how it leaves. */
  async join(): Promise<() => Promise<void>> {
    const { bus, probe } = await this.#openBus(`member-${++this.#members}`)
    const handler = probe.handler<Order>(group, async ({ data }, tx) => {
      const state = tx.state<number>('sum')
      const sum = ((await state.get()) ?? 0) + 1
      await state.set(sum)
      tx.emit(totals, { ...data, sum })
      this.#handled.add(data.n)
    })
    bus.consume(orders, { group, leaseMs }, handler)
    return async () => {
      await bus.stop()
      this.#buses.delete(bus)
    }
  }

  /** Runs `work` as a fault of this name: from its begin to its end operations are under way. */
  async fault(name: string, work: () => Promise<void>): Promise<void> {
    this.#nemesis.note('fault', { name, state: 'on' })
    await work()
    this.#nemesis.note('fault', { name, state: 'off' })
  }

  /** So many orders more were handled: the group goes on. */
  async progress(count: number): Promise<void> {
    const wanted = this.#handled.size + count
    await until(() => this.#handled.size >= wanted, standstillMsMax, `${count} more orders handled`)
  }

  get handled(): number {
    return this.#handled.size
  }

  /** No more orders; everything is handled, read and judged. */
  async finish(gates: Gates): Promise<void> {
    this.#nemesis.note('phase', { name: 'heal' })
    this.#isEnding = true
    await this.#publishing
    const { bus, probe } = this.#publisher
    await until(async () => (await lagOf(bus)) === 0, 60_000, 'no lag')
    const log = await probe.readAll(bus, orders)
    const sums = await readAll(bus, totals)
    await this.#observe(log, sums)
    const options = { atomicVisibility: false, dedup: 'none', healMs: 60_000, gates } as const
    const report = checkHistory(mergeHistories(this.#histories), options)
    assert.equal(report.verdict, 'valid', reportText(report))
    assert.deepEqual(
      sums.map(({ data: { n } }) => n).sort((a, b) => a - b),
      log.map(({ data: { n } }) => n).sort((a, b) => a - b),
      'each order that is in the log was summed once (X1)',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    await this.#publishing.catch(() => undefined)
    await Promise.all([...this.#buses].map((bus) => bus.stop()))
  }

  async #publishOn(lane: number): Promise<void> {
    const { bus, probe } = this.#publisher
    const lastHandled = (n: number) => until(() => this.#handled.has(n), 60_000, `order ${n} is handled`)
    while (!this.#isEnding) {
      const n = this.#orders++
      const key = `lane-${lane}-${n % 3}`
      const event = { topic: orders, data: { n, key }, id: `order-${n}`, key, n: 1 }
      const isThere = await probe.publish(bus, event).then(
        () => true,
        () => false,
      )
      // What failed is not published again: no broker would know it as a repetition (N7).
      await (isThere ? lastHandled(n) : pause(20))
    }
  }

  async #openBus(node: string): Promise<Member> {
    const probe = new HistoryProbe(this.#recorder(node))
    const engine = probe.engine(kafka(this.#options))
    const bus = await openBus({ engine, topics: [orders, totals], member: node })
    await probe.opened(bus, [orders, totals])
    this.#buses.add(bus)
    return { bus, probe }
  }

  #recorder(node: string): HistoryRecorder {
    const lines: HistoryEvent[] = []
    this.#histories.push(lines)
    const file = { append: (line: string) => void lines.push(JSON.parse(line)) }
    return new HistoryRecorder({ node, clock: hostClock, file })
  }

  /** Each total is an effect of its order, and the last sum of a key is what the sink comes to. */
  async #observe(log: readonly LogEvent<Order>[], sums: readonly LogEvent<Total>[]): Promise<void> {
    const sink = this.#recorder('judge').client('sink')
    const byNumber = new Map(log.map((event) => [event.data.n, event]))
    const last = new Map<string, number>()
    const where = { g: group, topic: orders.name, sink: totals.name }
    for (const { data } of sums) {
      const { partition: p, offset: off, key } = byNumber.get(data.n)!
      sink.observed('effect', { ...where, p, off, key })
      last.set(data.key, Math.max(last.get(data.key) ?? 0, data.sum))
    }
    for (const [key, sum] of last) sink.observed('ledger', { ...where, key, sum })
    sink.note('phase', { name: 'final' })
  }
}

async function lagOf(bus: Bus): Promise<number | undefined> {
  return (await bus.status()).groups.find((one) => one.group === group)?.lagEvents
}
