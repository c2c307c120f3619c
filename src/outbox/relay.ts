import { Bus } from '../bus.ts'
import { hasCode, SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import { checkOptionNames, invalidOption, requireFunction, requireOptions, wholeNumber } from '../options.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { sleep } from '../platform/wait.ts'
import { retryDelayMs } from '../runtime/retry-policy.ts'
import { decodeRows, type OutboxRow, reasonOf } from './outbox-event.ts'
import { type OutboxTarget, targetFor } from './outbox-target.ts'

const batchEvents = 1_000
const batchBytes = limits.unitBytesMax / 4
const retryPolicy = { attempts: 1, baseDelayMs: 10, maxDelayMs: 5_000, onExhausted: 'block' } as const

/** A row that waits in some outbox. */
export interface WaitingRow extends OutboxRow {
  /** Names the row among all of its outbox; says nothing about order. */
  readonly place: number
}

/**
 * An outbox that is not in the database of the log. Rows are read, published, and then removed. After a kill in between
 * they are read again: a log that knows ids leaves them out (N1), in another the last batch is remembered with what it
 * published, and one relay at a time is let in (X1, Z1). So several relays of one outbox do no harm.
 */
export interface OutboxSource {
  /** Names this outbox for ever, in all processes: at most 60 letters, digits, ".", "_" and "-". */
  readonly name: string
  /** The first rows, in the order of their transactions' commits; the first one even if it is larger than `bytes`. */
  read(events: number, bytes: number): Promise<readonly WaitingRow[]>
  /** Removes rows that are in the log now. */
  remove(rows: readonly WaitingRow[]): Promise<void>
  /** Keeps a row that the log cannot take, with the reason, where it is not read again. */
  setAside(row: WaitingRow, reason: string): Promise<void>
  close(): Promise<void>
}

export interface RelayOptions {
  /** Where events come from, such as `sqliteOutbox({ file })`. Closed with the relay. */
  readonly from: OutboxSource
  /** An open bus that declares their topics. */
  readonly to: Bus
  /** Where the log does not know ids: a relay that is silent for this long is replaced. Default 10 s. */
  readonly leaseMs?: number | undefined
}

export interface OutboxRelay extends AsyncDisposable {
  /** Why it does not go on at the moment; it keeps trying. */
  readonly problem: Error | undefined
  /** Events published since it was started. */
  readonly relayed: number
  /** Finishes what it is doing. Twice is fine. */
  stop(): Promise<void>
}

/** Publishes what comes into an outbox, until it is stopped. Runs as long as the bus is open. */
export function relayOutbox(options: RelayOptions): OutboxRelay {
  const { from, to, leaseMs: given } = requireOptions('relayOutbox options', options)
  checkOptionNames('relayOutbox', options, ['from', 'to', 'leaseMs'])
  const leaseMs = wholeNumber('leaseMs', given, {
    min: limits.leaseMsMin,
    max: limits.leaseMsMax,
    fallback: limits.leaseMsDefault,
  })
  requireFunction('from.read', from?.read)
  if (!(to instanceof Bus)) throw invalidOption('to', 'an open bus', to)
  return new Relay(from, targetFor({ bus: to, name: from.name, leaseMs, platform: realPlatform }))
}

class Relay implements OutboxRelay {
  readonly #from: OutboxSource
  readonly #to: OutboxTarget
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  /** How many rows are to be published alone, to find the one that the log refuses. */
  #oneByOne = 0
  problem: Error | undefined
  relayed = 0

  constructor(from: OutboxSource, to: OutboxTarget) {
    this.#from = from
    this.#to = to
    this.#ended = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort(new SemelError('ABORTED', 'the relay was stopped'))
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let pauseMs: number = limits.pollMsMin
    for (let failures = 0; !signal.aborted; ) {
      try {
        const rows = await this.#step()
        failures = 0
        this.problem = undefined
        pauseMs = rows > 0 ? limits.pollMsMin : Math.min(limits.pollMsMax, pauseMs * 2)
        if (rows === 0) await this.#pause(pauseMs)
      } catch (error) {
        if (signal.aborted) break
        failures++
        if (hasCode(error, 'ID_CONFLICT')) this.#oneByOne = batchEvents
        else this.problem = error instanceof Error ? error : new Error(String(error))
        await this.#pause(retryDelayMs(retryPolicy, Math.min(failures, 10), realPlatform.random))
      }
    }
    await this.#to.close()
    await this.#from.close()
  }

  async #pause(ms: number): Promise<void> {
    await sleep(realPlatform, ms, this.#stop.signal).catch(() => undefined)
  }

  async #step(): Promise<number> {
    await this.#to.ready(this.#stop.signal)
    const rows = await this.#from.read(this.#oneByOne > 0 ? 1 : batchEvents, batchBytes)
    if (rows.length === 0) return 0
    const { good, refused } = decodeRows(rows)
    for (const { row, reason } of refused) await this.#from.setAside(row, reason)
    try {
      await this.#to.publish(good)
      await this.#from.remove(good.map(({ row }) => row))
      this.relayed += good.length
    } catch (error) {
      if (rows.length > 1 || !hasCode(error, 'ID_CONFLICT')) throw error
      await this.#from.setAside(rows[0]!, reasonOf(error))
    }
    this.#oneByOne = Math.max(0, this.#oneByOne - 1)
    return rows.length
  }
}
