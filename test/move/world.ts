import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Engine } from '../../src/engine/engine.ts'
import { type Bus, type Consumer, isSemelError, openBus } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { book, booked, group, type Payment, payments, withoutDedup } from './topics.ts'

const folder = mkdtempSync(join(tmpdir(), 'semel-move-'))
let made = 0
after(() => rmSync(folder, { recursive: true, force: true }))

export function newFile(): string {
  return join(folder, `log-${++made}.db`)
}

const quick = { attempts: 50, baseDelayMs: 1, maxDelayMs: 20 } as const
/** Between two payments of an account: what is measured here is not speed. */
const betweenMs = 15
const accounts = ['ada', 'bob', 'cleo', 'dan', 'eve', 'finn'] as const

export async function openPayments(engine: Engine): Promise<Bus> {
  const topics = engine.facts.dedup === 'topic' ? [payments, booked] : withoutDedup
  return await openBus({ engine, topics })
}

export function consume(bus: Bus, handler = book): Consumer {
  return bus.consume(payments, { group, leaseMs: 400, unitAgeMs: 5, retry: quick }, handler)
}

/** Programs that publish, in order for each account, to the old place until it says that the topic was moved, then to the new. */
export class Publishers {
  readonly given: Payment[] = []
  readonly refusals: string[] = []
  readonly #source: Bus
  readonly #target: Promise<Bus>
  #stopped = false
  #runs: readonly Promise<void>[] = []

  constructor(source: Bus, target: Promise<Bus>) {
    this.#source = source
    this.#target = target
  }

  start(): this {
    this.#runs = accounts.map((account) => this.#run(account))
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#runs)
  }

  async #run(account: string): Promise<void> {
    let bus = this.#source
    for (let n = 0; !this.#stopped; n++) {
      const payment = { account, n }
      bus = await this.#publish(bus, payment)
      this.given.push(payment)
      await pause(betweenMs)
    }
  }

  /** Answers the bus that took it. An event is tried again under its id until it is acknowledged (U2). */
  async #publish(bus: Bus, payment: Payment): Promise<Bus> {
    for (;;) {
      try {
        await bus.publish(payments, payment, {
          id: `${payment.account}-${payment.n}`,
          time: 1_700_000_000_000 + payment.n,
        })
        return bus
      } catch (error) {
        if (!isSemelError(error)) throw error
        assert.equal(error.outcome, 'not-applied', error.message)
        this.refusals.push(`${error.code}${error.retryable ? ' retryable' : ''}`)
        if (error.code === 'TOPIC_MOVED' && !error.retryable)
          return await this.#publish(await this.#target, payment)
        if (!error.retryable) throw error
        await pause(5)
      }
    }
  }
}

export async function untilBooked(source: Bus, target: Bus, events: number): Promise<void> {
  const count = async () => (await readAll(source, booked)).length + (await readAll(target, booked)).length
  await until(async () => (await count()) >= events, 60_000, `${events} booked`)
}

/**
 * The new log holds every event that was acknowledged anywhere, once and in order; the old one is its beginning. Each
 * was handled once, here or there, in order, with the state that the ones before it left.
 */
export async function requireExactlyOnce(source: Bus, target: Bus, given: readonly Payment[]): Promise<void> {
  const there = (await readAll(source, payments)).map(({ data }) => data)
  const here = (await readAll(target, payments)).map(({ data }) => data)
  const handled = [...(await readAll(source, booked)), ...(await readAll(target, booked))].map(
    ({ data }) => data,
  )
  for (const account of new Set(given.map((payment) => payment.account))) {
    const numbers = (list: readonly Payment[]) =>
      list.filter((each) => each.account === account).map(({ n }) => n)
    const truth = numbers(given)
    assert.deepEqual(numbers(here), truth, `events of ${account}`)
    assert.deepEqual(
      numbers(there),
      truth.slice(0, numbers(there).length),
      `events of ${account} at the old place`,
    )
    const effects = handled.filter((each) => each.account === account)
    assert.deepEqual(
      effects.map(({ n, count }) => [n, count]),
      truth.map((n, i) => [n, i + 1]),
      `effects of ${account}`,
    )
  }
  assert.deepEqual([here.length, handled.length], [given.length, given.length])
}
