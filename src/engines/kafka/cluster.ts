import type { Platform, Timer } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'
import { brokerAccess } from './broker-access.ts'
import { BrokerConnection } from './broker-connection.ts'
import { BrokerError } from './broker-error.ts'
import { type Ask, type BrokerAddress, liveBrokers, settingsOf } from './broker-questions.ts'
import type { Config } from './client-types.ts'
import { firstAnswer } from './first-answer.ts'
import { coordinatorOf } from './group-questions.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { KnownBrokers, Place } from './known-brokers.ts'

const connectMs = 5_000
const unknownTopic = 3
const askAgainMs = 20
/** The coordinator is loading, is not known yet, or is another one by now. */
const coordinatorMoves: readonly number[] = [14, 15, 16]

/** A broker as it was met so far. */
class BrokerContact {
  readonly place: Place
  /** Questions under way. */
  asked = 0
  /** Until when others are asked instead, on the monotonic clock. */
  avoidedUntil = Number.NEGATIVE_INFINITY
  /** Nobody uses this connection; it is kept for a while. */
  idle: BrokerConnection | undefined
  resting: Timer | undefined

  constructor(place: Place) {
    this.place = place
  }
}

/** The brokers as they are reached without the client, for the questions that it cannot ask, or would ask of one of them alone. */
export class Cluster {
  readonly #platform: Platform
  readonly #settings: Config
  readonly #known: KnownBrokers
  readonly #timeoutMs: number
  readonly #contacts = new Map<string, BrokerContact>()
  #turn = 0
  #isClosed = false

  constructor(platform: Platform, settings: Config, known: KnownBrokers, operationMs: number) {
    this.#platform = platform
    this.#settings = settings
    this.#known = known
    this.#timeoutMs = Math.min(operationMs, connectMs)
  }

  /**
   * Asks whichever broker answers, each time another one first. One that is silent is not waited for alone, and one that
   * was lately is asked only if the others are as well. After an error in `passing` the next one is asked, too.
   */
  async withAny<T>(work: (ask: Ask) => Promise<T>, passing: readonly number[] = []): Promise<T> {
    const now = this.#platform.clock.monotonic()
    const [ready, avoided] = split(this.#inTurn(), ({ avoidedUntil }) => avoidedUntil <= now)
    if (ready.length === 0) return await this.#first(avoided, work, passing)
    try {
      return await this.#first(ready, work, passing)
    } catch (error) {
      if (avoided.length === 0 || !isUnanswered(error)) throw error
      return await this.#first(avoided, work, passing)
    }
  }

  async at<T>(place: Place, work: (ask: Ask) => Promise<T>): Promise<T> {
    return await this.#at(this.#contact(place), work)
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

  brokers(): Promise<readonly BrokerAddress[]> {
    return this.withAny(liveBrokers)
  }

  /** What is under way goes on to its end. */
  close(): void {
    this.#isClosed = true
    for (const broker of this.#contacts.values()) rest(broker)
  }

  #contact(place: Place): BrokerContact {
    const name = `${place.host}:${place.port}`
    const known = this.#contacts.get(name)
    if (known !== undefined) return known
    const contact = new BrokerContact(place)
    this.#contacts.set(name, contact)
    return contact
  }

  /** Each once, first those who have the least to answer. */
  #inTurn(): BrokerContact[] {
    const brokers = [...new Set(this.#known.places.map((place) => this.#contact(place)))]
    const from = this.#turn++ % brokers.length
    return [...brokers.slice(from), ...brokers.slice(0, from)].sort((one, other) => one.asked - other.asked)
  }

  #first<T>(
    brokers: readonly BrokerContact[],
    work: (ask: Ask) => Promise<T>,
    passing: readonly number[],
  ): Promise<T> {
    return firstAnswer(
      this.#platform,
      brokers.map((broker) => () => this.#at(broker, work)),
      kafkaLimits.firstAnswerMs,
      (error) => isUnanswered(error) || (error instanceof BrokerError && passing.includes(error.code)),
      // What one of them has said tells more than the silence of others.
      (errors) => errors.find((error) => !isUnanswered(error)) ?? errors.at(-1),
    )
  }

  async #at<T>(broker: BrokerContact, work: (ask: Ask) => Promise<T>): Promise<T> {
    broker.asked += 1
    try {
      const connection = await this.#connected(broker)
      try {
        return await work((request) => connection.ask(request))
      } finally {
        this.#keep(broker, connection)
      }
    } catch (error) {
      if (isUnanswered(error))
        broker.avoidedUntil = this.#platform.clock.monotonic() + kafkaLimits.silentBrokerMs
      throw error
    } finally {
      broker.asked -= 1
    }
  }

  async #connected(broker: BrokerContact): Promise<BrokerConnection> {
    const { idle, place } = broker
    broker.idle = undefined
    broker.resting?.cancel()
    if (idle !== undefined && !idle.hasFailed) return idle
    return await BrokerConnection.open(this.#platform, place, brokerAccess(this.#settings), this.#timeoutMs)
  }

  /** For the next question: a login takes longer than the answer. */
  #keep(broker: BrokerContact, connection: BrokerConnection): void {
    if (this.#isClosed || connection.hasFailed || broker.idle !== undefined) {
      connection.close()
      return
    }
    broker.idle = connection
    broker.resting = this.#platform.timers.after(kafkaLimits.idleConnectionMs, () => rest(broker))
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
}

/** No connection, or no answer in time. */
function isUnanswered(error: unknown): boolean {
  return error instanceof BrokerError && error.code < 0
}

function rest(broker: BrokerContact): void {
  broker.resting?.cancel()
  broker.idle?.close()
  broker.idle = undefined
}

function split<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))]
}
