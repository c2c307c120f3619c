import { SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { orLate, sleep } from '../../platform/wait.ts'
import type {
  Admin,
  Client,
  ClientModule,
  Config,
  Consumer,
  Done,
  Metadata,
  Producer,
} from './client-types.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import { KnownBrokers } from './known-brokers.ts'
import { untilReachable } from './reachable.ts'

const packageName = '@confluentinc/kafka-javascript'

/** Loads the client when an engine opens. DRIVER_MISSING names the package. */
export async function loadClient(given: ClientModule | undefined): Promise<ClientModule> {
  if (given !== undefined) return given
  try {
    // Not a literal, or every user's compiler would ask for the package's types.
    const name: string = packageName
    const module: { RdKafka?: ClientModule } = await import(name)
    return module.RdKafka!
  } catch (cause) {
    throw new SemelError(
      'DRIVER_MISSING',
      `the kafka engine needs the package "${packageName}", which is not installed`,
      { field: 'client', hint: `npm install ${packageName}, or give its module as the option client`, cause },
    )
  }
}

/** A call with a callback at its end, as a promise. */
export function call<T>(start: (done: Done<T>) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result)))
  })
}

const threadsDefault = 4
const threads = Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || threadsDefault) - 1)
let threadsFree = threads
const waiting: (() => void)[] = []

/** Each has one of libuv's threads, and a process does not end before they come back. Some never do (librdkafka #5456). */
export const blockingCalls = (): number => threads - threadsFree

/**
 * A call that may wait for a broker. It does so in one of libuv's threads, of which the process has four for everything:
 * files, names of hosts, the polls by which a member stays in its group. So such calls take turns, over all engines of
 * the process, and one thread is always left.
 */
export async function blockingCall<T>(start: (done: Done<T>) => unknown): Promise<T> {
  if (threadsFree > 0) threadsFree -= 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await call(start)
  } finally {
    const next = waiting.shift()
    if (next === undefined) threadsFree += 1
    else next()
  }
}

/** How this engine's clients are made: one place for all settings that the guarantees rest on. */
export class Clients {
  readonly platform: Platform
  readonly operationMs: number
  readonly module: ClientModule
  readonly known: KnownBrokers
  readonly #given: Config
  readonly #hanging = new WeakMap<Producer, Promise<void>>()
  /** Whether the last question of an admin client got no answer. */
  #isUnanswered = false

  constructor(module: ClientModule, platform: Platform, shared: Config, operationMs: number) {
    this.module = module
    this.platform = platform
    this.operationMs = operationMs
    this.#given = shared
    this.known = new KnownBrokers(String(shared['bootstrap.servers']))
  }

  get #shared(): Config {
    return { ...this.#given, 'bootstrap.servers': this.known.list }
  }

  async admin(): Promise<Admin> {
    return this.module.AdminClient.create({
      ...this.#shared,
      // It asks who leads for as long as it remembers, and goes on asking a leader that is dead.
      'metadata.max.age.ms': kafkaLimits.leadersKnownMs,
    })
  }

  /**
   * A question of an admin client. One that finds no broker keeps two threads of the client busy, with nothing, until its
   * time is over (librdkafka 2.15). So after one that got no answer, the next waits until a broker takes connections, for
   * `silentBrokerMs`. Then it is asked all the same: the client may know brokers that were not named to it.
   */
  async question<T>(start: (done: Done<T>) => unknown): Promise<T> {
    if (this.#isUnanswered) await untilReachable(this.platform, this.known.places, kafkaLimits.silentBrokerMs)
    try {
      const answer = await blockingCall(start)
      this.#isUnanswered = false
      return answer
    } catch (error) {
      this.#isUnanswered = unansweredCodes.includes(clientCode(error) ?? 0)
      throw error
    }
  }

  /**
   * Makes an admin client hear who is there by now. It makes topics at the controller that it was told of first, and by
   * itself never asks for another, not even when that broker is gone (librdkafka 2.15).
   */
  async meetController(admin: Admin): Promise<void> {
    const options = { allTopics: false, timeout: Math.min(this.operationMs, kafkaLimits.silentBrokerMs) }
    await blockingCall<Metadata>((done) => admin.getMetadata(options, done)).catch(() => undefined)
  }

  /**
   * Idempotent, all replicas acknowledge, order is kept. With a transactional id it can do transactions alone. A report of
   * each record costs this process's thread as much as making the record: only for those who need offsets.
   */
  async producer(
    transactionalId: string | undefined,
    transactionTimeoutMs: number,
    hasReports: boolean,
  ): Promise<Producer> {
    const transactional =
      transactionalId === undefined
        ? { 'message.timeout.ms': this.operationMs }
        : {
            'transactional.id': transactionalId,
            'transaction.timeout.ms': transactionTimeoutMs,
            // Offsets for a group coordinator that is gone are held, past any time-out, until a connection to whichever
            // broker opens or closes (librdkafka #5456, #5511). So that one does, none stays open unused.
            'connections.max.idle.ms': kafkaLimits.idleConnectionMs,
          }
    const producer = new this.module.Producer({
      ...this.#shared,
      'enable.idempotence': true,
      acks: 'all',
      dr_cb: hasReports,
      ...transactional,
    })
    await this.#connect(producer)
    producer.setPollInBackground(true)
    if (transactionalId === undefined) return producer
    try {
      await this.steps(producer, (ms, done) => producer.initTransactions(ms, done))
      return producer
    } catch (error) {
      await this.discard(producer)
      throw error
    }
  }

  async consumer(config: Config): Promise<Consumer> {
    const consumer = new this.module.KafkaConsumer({
      ...this.#shared,
      'enable.auto.commit': false,
      'enable.auto.offset.store': false,
      'auto.offset.reset': 'error',
      'isolation.level': 'read_committed',
      ...config,
    })
    await this.#connect(consumer)
    consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
    return consumer
  }

  async #connect(client: Client): Promise<void> {
    // Without a listener an error event would end the process; what matters comes back from calls as well.
    client.on('event.error', () => undefined)
    try {
      const timeout = this.operationMs
      this.known.learn(await blockingCall<Metadata>((done) => client.connect({ timeout }, done)))
    } catch (error) {
      throw translated(error, 'connecting to Kafka', 'not-applied')
    }
  }

  /**
   * A transactional call: in short steps, as it holds a thread that others wait for. After a step that took too long,
   * and after a passing error, the same call again is the only thing that may be done.
   */
  async steps(producer: Producer, step: (timeoutMs: number, done: Done) => void): Promise<void> {
    const until = this.platform.clock.monotonic() + this.operationMs
    for (;;) {
      try {
        await this.#step(step)
        return
      } catch (error) {
        if (error instanceof HangingCall) this.#hanging.set(producer, error.work)
        if (!mayResume(error) || this.platform.clock.monotonic() > until) throw error
        if (clientCode(error) !== timedOut) await sleep(this.platform, kafkaLimits.transactionRetryMs)
      }
    }
  }

  /**
   * Commits, and answers whether the request was surely sent once. After a lost connection, or silence, the client sends
   * it again by itself; the first one may then arrive in the middle of the next transaction and commit that (KIP-890).
   */
  async commit(producer: Producer): Promise<boolean> {
    const { clock } = this.platform
    const since = clock.monotonic()
    let isOnce = true
    const noteLoss = (): void => {
      isOnce = false
    }
    producer.on('event.error', noteLoss)
    try {
      await this.steps(producer, (ms, done) => producer.commitTransaction(ms, done))
    } finally {
      producer.off('event.error', noteLoss)
    }
    return isOnce && clock.monotonic() - since < kafkaLimits.silentBrokerMs
  }

  async #step(step: (timeoutMs: number, done: Done) => void): Promise<void> {
    const stepMs = Math.min(this.operationMs, kafkaLimits.transactionalStepMs)
    const work = blockingCall<void>((done) => step(stepMs, done))
    await orLate(this.platform, work, this.operationMs, () => new HangingCall(work))
  }

  /** Never fails: a client that does not let go in time is left to its own threads. */
  async disconnect(client: Client): Promise<void> {
    await this.#ended(blockingCall((done) => client.disconnect(done)))
  }

  /** Like `disconnect`, without waiting for records that are still to be sent: nobody wants them any more. */
  async discard(producer: Producer): Promise<void> {
    const end = () => this.#ended(blockingCall((done) => producer.disconnect(0, done)))
    const hanging = this.#hanging.get(producer)
    if (hanging === undefined) await end()
    else void hanging.then(end, end)
  }

  async #ended(ending: Promise<unknown>): Promise<void> {
    const late = () => new Error('late')
    await orLate(this.platform, ending, this.operationMs, late).catch(() => undefined)
  }
}

const timedOut = -185
/** No connection, no answer in time, no leader known. */
const unansweredCodes: readonly number[] = [-195, timedOut, -156]

/** The client does not keep every time-out. Such a call goes on, and its producer can only be ended after it. */
class HangingCall extends Error {
  readonly code = timedOut
  readonly work: Promise<void>
  constructor(work: Promise<void>) {
    super('the client did not come back in time')
    this.work = work
  }
}

function mayResume(error: unknown): boolean {
  if (error instanceof HangingCall) return false
  if (clientCode(error) === timedOut) return true
  return error instanceof Error && 'isRetriable' in error && error.isRetriable === true
}
