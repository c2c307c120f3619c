import { createHash } from 'node:crypto'
import { SemelError } from '../../errors.ts'
import { kafkaLimits } from './kafka-limits.ts'

/** Names of one log in a Kafka cluster: all begin with the log's prefix, so that several logs fit in one cluster. */
export class KafkaNames {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The Kafka topic of a Semel topic. */
  topic(name: string): string {
    return checked(`${this.#prefix}${name}`)
  }

  group(name: string): string {
    return `${this.#prefix}${name}`
  }

  /** Where it is written which topics and groups this log has. Its topic id is the identity of the log. */
  get registry(): string {
    return checked(`${this.#prefix}semel.registry`)
  }

  /** Changelog of a group's work on one topic, with a partition for each of the topic's. */
  changelog(group: string, topic: string): string {
    return this.#joined('semel.state', group, topic)
  }

  /** Who owns this id is the only one who can commit for the task. */
  transactionalId(group: string, topic: string, partition: number): string {
    return `${this.#joined('semel.task', group, topic)}.${partition}`
  }

  publisherId(unique: string): string {
    return `${this.#prefix}semel.publish.${unique}`
  }

  /** Two names in one: the hash tells apart what dots and cutting would mix up. */
  #joined(kind: string, group: string, topic: string): string {
    const hash = createHash('sha256').update(`${group}\u0000${topic}`).digest('hex').slice(0, hashChars)
    const start = `${this.#prefix}${kind}.`
    const room = kafkaLimits.topicNameCharsMax - start.length - hashChars - 1
    return checked(`${start}${`${group}.${topic}`.slice(0, room)}-${hash}`)
  }
}

const hashChars = 10
const grammar = /^[a-zA-Z0-9._-]+$/

function checked(name: string): string {
  if (name.length <= kafkaLimits.topicNameCharsMax && grammar.test(name)) return name
  throw new SemelError('INVALID_TOPIC', `${JSON.stringify(name.slice(0, 60))} is no name for a Kafka topic`, {
    limit: kafkaLimits.topicNameCharsMax,
    actual: name.length,
    hint: 'use letters, digits, ".", "_" and "-", and a shorter prefix',
  })
}
