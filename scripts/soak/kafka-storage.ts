import { setTimeout as pause } from 'node:timers/promises'
import { type Kafka, startKafka } from '../../test/rig/kafka/broker.ts'
import type { Address, Storage, StorageFault } from './storage.ts'

/** A member that is gone is missed after this time, in which others take over what it had. */
const sessionMs = 1_500
/** Longer than that. */
const pausedMs = 2_000

/** One real broker. Everybody reaches it directly, so what happens to it happens to the judge's connection as well. */
export class KafkaStorage implements Storage {
  readonly workers: Address
  readonly faults: Readonly<Record<string, StorageFault>>
  readonly #kafka: Kafka

  private constructor(kafka: Kafka) {
    this.#kafka = kafka
    this.workers = { engine: 'kafka', brokers: kafka.bootstrap }
    const broker = kafka.brokers[0]!
    this.faults = {
      'broker killed': async () => {
        await broker.kill9()
        await broker.start()
      },
      'broker restarted': async () => {
        await broker.stop()
        await broker.start()
      },
      'broker paused': async () => {
        await broker.pause()
        await pause(pausedMs)
        broker.resume()
      },
    }
  }

  get observer(): Address {
    return this.workers
  }

  static async start(): Promise<KafkaStorage> {
    const settings = {
      'group.consumer.session.timeout.ms': sessionMs,
      'group.consumer.heartbeat.interval.ms': 200,
    }
    return new KafkaStorage(await startKafka({ brokers: 1, settings }))
  }

  sample(): void {}

  excess(): string[] {
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kafka.stop()
  }
}
