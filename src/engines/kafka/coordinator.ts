import type { Platform } from '../../platform/platform.ts'
import { orLate, sleep } from '../../platform/wait.ts'
import type { BrokerAccess } from './broker-access.ts'
import { BrokerConnection } from './broker-connection.ts'
import { BrokerError } from './broker-error.ts'
import type { Ask } from './broker-questions.ts'
import type { Cluster } from './cluster.ts'
import { type Coordinated, coordinatorOf } from './group-questions.ts'
import { clientCode } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'

export interface CoordinatorParts {
  readonly platform: Platform
  readonly cluster: Cluster
  readonly access: BrokerAccess
  /** After so long a question is given up. */
  readonly operationMs: number
}

/** The coordinator is loading, not there, or another one by now; or it still ends the transaction before. */
const passing: readonly number[] = [14, 15, 16, 51]
const elsewhere: readonly number[] = [15, 16]
/** No connection, no answer in time. */
const unanswered: readonly number[] = [-195, -185]
const unknownTopic = 3

/** The broker that leads a group, or the transactions of an id, whichever that is by now: a question at a time. */
export class Coordinator {
  readonly #parts: CoordinatorParts
  readonly #name: string
  readonly #kind: Coordinated
  #connection: BrokerConnection | undefined
  /** How often an answer was lost: what was asked may still arrive. */
  losses = 0

  constructor(parts: CoordinatorParts, name: string, kind: Coordinated) {
    this.#parts = parts
    this.#name = name
    this.#kind = kind
  }

  /** Until there is an answer that is no passing one. `mayRepeat`: also after a lost one, as twice is the same as once. */
  async ask<T>(question: (ask: Ask) => Promise<T>, mayRepeat: boolean): Promise<T> {
    const { platform, operationMs } = this.#parts
    const began = platform.clock.monotonic()
    const leftMs = () => began + operationMs - platform.clock.monotonic()
    for (;;) {
      const connection = await this.#connected(leftMs)
      const patienceMs = Math.max(1, Math.min(kafkaLimits.silentBrokerMs, leftMs()))
      try {
        return await question((request) => connection.ask(request, patienceMs))
      } catch (error) {
        const code = clientCode(error) ?? 0
        const isLost = code < 0
        if (isLost) this.losses += 1
        if (isLost || elsewhere.includes(code)) this.close()
        // A coordinator may hear of a new topic a moment after others did.
        const isNew = code === unknownTopic && leftMs() > operationMs - kafkaLimits.topicGoneMs
        const mayPass = passing.includes(code) || isNew || (isLost && mayRepeat)
        if (!mayPass || leftMs() <= 0) throw error
      }
      await sleep(platform, kafkaLimits.transactionRetryMs)
    }
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  async #connected(leftMs: () => number): Promise<BrokerConnection> {
    const { access, cluster, platform } = this.#parts
    for (;;) {
      if (this.#connection !== undefined && !this.#connection.hasFailed) return this.#connection
      try {
        const finding = cluster.withAny((ask) => coordinatorOf(ask, this.#name, this.#kind))
        const place = await orLate(platform, finding, Math.max(1, leftMs()), lateError)
        this.#connection = await BrokerConnection.open(platform, place, access, kafkaLimits.silentBrokerMs)
        return this.#connection
      } catch (error) {
        const code = clientCode(error) ?? 0
        if (!(passing.includes(code) || unanswered.includes(code)) || leftMs() <= 0) throw error
      }
      await sleep(platform, kafkaLimits.produceRetryMs)
    }
  }
}

const timedOut = -185
export const lateError = () => new BrokerError(timedOut, 'no answer in time')
