import { kafkaLimits } from './kafka-limits.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { PartitionReader } from './partition-reader.ts'
import type { Publisher } from './publisher.ts'

export interface RegisteredTopic {
  readonly kind: 'topic'
  readonly topic: string
  readonly partitions: number
  /** Kafka's id of the topic when it was declared: another id is another topic under the same name (D6). */
  readonly id: string
}

export interface RegisteredGroup {
  readonly kind: 'group'
  readonly group: string
  readonly topic: string
  readonly partitions: number
}

export type RegistryEntry = RegisteredTopic | RegisteredGroup

/** What this log has in the cluster, as entries of one compacted topic, the last of a key counting. */
export class Registry {
  readonly #names: KafkaNames
  readonly #reader: PartitionReader
  readonly #publisher: Pick<Publisher, 'write'>
  readonly #entries = new Map<string, RegistryEntry>()
  #offset = 0

  constructor(names: KafkaNames, reader: PartitionReader, publisher: Pick<Publisher, 'write'>) {
    this.#names = names
    this.#reader = reader
    this.#publisher = publisher
  }

  async entries(): Promise<readonly RegistryEntry[]> {
    for (let isBehind = true; isBehind; ) {
      const { records, next, end } = await this.#reader.read({
        topic: this.#names.registry,
        partition: 0,
        offset: this.#offset,
        recordsMax: kafkaLimits.restoreRecords,
        bytesMax: kafkaLimits.readBufferBytesMax,
      })
      for (const { key, value } of records) {
        // Written by `put` alone.
        if (key !== null && value !== null) this.#entries.set(key, JSON.parse(value.toString()))
      }
      this.#offset = next
      isBehind = next < end
    }
    return [...this.#entries.values()]
  }

  async put(entries: readonly RegistryEntry[]): Promise<void> {
    const fresh = entries.filter((entry) => {
      const known = this.#entries.get(keyOf(entry))
      return known === undefined || JSON.stringify(known) !== JSON.stringify(entry)
    })
    if (fresh.length === 0) return
    await this.#publisher.write({
      topic: this.#names.registry,
      partition: 0,
      records: fresh.map((entry) => ({
        key: keyOf(entry),
        value: Buffer.from(JSON.stringify(entry)),
      })),
    })
  }
}

function keyOf(entry: RegistryEntry): string {
  return entry.kind === 'topic' ? `topic ${entry.topic}` : `group ${entry.group} ${entry.topic}`
}
