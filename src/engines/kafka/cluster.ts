import type { Platform } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'
import { brokerAccess } from './broker-access.ts'
import { BrokerConnection } from './broker-connection.ts'
import { BrokerError } from './broker-error.ts'
import { type Ask, type BrokerAddress, liveBrokers, settingsOf } from './broker-questions.ts'
import type { Config } from './client-types.ts'
import { coordinatorOf } from './group-questions.ts'
import type { KnownBrokers, Place } from './known-brokers.ts'

const connectMs = 5_000
const unknownTopic = 3
const askAgainMs = 20
/** The coordinator is loading, is not known yet, or is another one by now. */
const coordinatorMoves: readonly number[] = [14, 15, 16]

/** The brokers as they are reached without the client, for the few questions that it cannot ask. */
export class Cluster {
  readonly #platform: Platform
  readonly #settings: Config
  readonly #known: KnownBrokers
  readonly #timeoutMs: number

  constructor(platform: Platform, settings: Config, known: KnownBrokers, operationMs: number) {
    this.#platform = platform
    this.#settings = settings
    this.#known = known
    this.#timeoutMs = Math.min(operationMs, connectMs)
  }

  /** Asks the first broker to begin with that answers at all. */
  async withAny<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    let last: unknown = new BrokerError(-195, 'no broker is named')
    for (const place of this.#known.places) {
      try {
        return await this.at(place, work)
      } catch (error) {
        if (!(error instanceof BrokerError && error.code < 0)) throw error
        last = error
      }
    }
    throw last
  }

  async at<T>(place: Place, work: (ask: Ask) => Promise<T>): Promise<T> {
    const access = brokerAccess(this.#settings)
    const connection = await BrokerConnection.open(this.#platform, place, access, this.#timeoutMs)
    try {
      return await work((request) => connection.ask(request))
    } finally {
      connection.close()
    }
  }

  /** Settings of a topic that is there: a broker may hear of a new one a moment after the client did. */
  async topicSettings(name: string, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return await this.#untilNot([unknownTopic], () =>
      this.withAny((ask) => settingsOf(ask, 'topic', name, keys)),
    )
  }

  /** Asks the broker that leads a group. */
  async withCoordinator<T>(group: string, work: (ask: Ask) => Promise<T>): Promise<T> {
    return await this.#untilNot(coordinatorMoves, async () => {
      const place = await this.withAny((ask) => coordinatorOf(ask, group))
      return await this.at(place, work)
    })
  }

  /** Asks again while the answer is one of these codes, within the deadline of one question. */
  async #untilNot<T>(codes: readonly number[], work: () => Promise<T>): Promise<T> {
    const { clock } = this.#platform
    const until = clock.monotonic() + this.#timeoutMs
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const isPassing = error instanceof BrokerError && codes.includes(error.code)
        if (!isPassing || clock.monotonic() > until) throw error
      }
      await sleep(this.#platform, askAgainMs)
    }
  }

  brokers(): Promise<readonly BrokerAddress[]> {
    return this.withAny(liveBrokers)
  }
}
