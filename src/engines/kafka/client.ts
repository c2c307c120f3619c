import { SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { orLate } from '../../platform/wait.ts'
import type { Admin, Client, ClientModule, Config, Consumer, Done, Producer } from './client-types.ts'
import { translated } from './kafka-errors.ts'

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

/** How this engine's clients are made: one place for all settings that the guarantees rest on. */
export class Clients {
  readonly platform: Platform
  readonly operationMs: number
  readonly module: ClientModule
  readonly #shared: Config

  constructor(module: ClientModule, platform: Platform, shared: Config, operationMs: number) {
    this.module = module
    this.platform = platform
    this.operationMs = operationMs
    this.#shared = shared
  }

  async admin(): Promise<Admin> {
    return this.module.AdminClient.create({ ...this.#shared, 'metadata.max.age.ms': 60_000 })
  }

  /** Idempotent, all replicas acknowledge, order is kept. With a transactional id it can do transactions alone. */
  async producer(transactionalId: string | undefined, transactionTimeoutMs: number): Promise<Producer> {
    const transactional =
      transactionalId === undefined
        ? { 'message.timeout.ms': this.operationMs }
        : {
            'transactional.id': transactionalId,
            'transaction.timeout.ms': transactionTimeoutMs,
          }
    const producer = new this.module.Producer({
      ...this.#shared,
      'enable.idempotence': true,
      acks: 'all',
      dr_cb: true,
      ...transactional,
    })
    await this.#connect(producer)
    producer.setPollInBackground(true)
    if (transactionalId === undefined) return producer
    try {
      await this.steps((ms, done) => producer.initTransactions(ms, done))
      return producer
    } catch (error) {
      await this.disconnect(producer)
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
      await call((done) => client.connect({ timeout: this.operationMs }, done))
    } catch (error) {
      throw translated(error, 'connecting to Kafka', 'not-applied')
    }
  }

  /**
   * A transactional call, which blocks a thread of libuv's few while it waits: in short steps, as the only thing that
   * may be done after a time-out is the same call again.
   */
  async steps(step: (timeoutMs: number, done: Done) => void): Promise<void> {
    const until = this.platform.clock.monotonic() + this.operationMs
    for (;;) {
      try {
        await call<void>((done) => step(Math.min(this.operationMs, transactionalStepMs), done))
        return
      } catch (error) {
        if (!isTimeout(error) || this.platform.clock.monotonic() > until) throw error
      }
    }
  }

  /** Never fails: a client that does not let go in time is left to its own threads. */
  async disconnect(client: Client): Promise<void> {
    const ended = call((done) => client.disconnect(done))
    const late = () => new Error('late')
    await orLate(this.platform, ended, this.operationMs, late).catch(() => undefined)
  }
}

const transactionalStepMs = 5_000
const timedOut = -185

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === timedOut
}
