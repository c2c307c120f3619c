import type { Ask } from './broker-questions.ts'
import { type Reader, wire } from './wire.ts'

/** One batch for one partition: of a partition, a request may hold no more. */
export interface ProducePart {
  readonly topic: string
  readonly partition: number
  readonly bytes: Buffer
}

export interface ProducedPart {
  readonly topic: string
  readonly partition: number
  /** A code of Kafka's protocol, 0 if there is none. */
  readonly error: number
  readonly message: string | undefined
  /** Of the first record. Below zero: the broker did not say. */
  readonly offset: number
}

const produceKey = 0
/** The first one with compact lengths (Kafka 2.4); what later ones add is not asked for. */
const produceVersion = 9
const allInSync = -1

/** Batches for partitions that one broker leads (Produce), acknowledged when all replicas in sync have them. */
export async function produce(
  ask: Ask,
  transactionalId: string | undefined,
  replicasMs: number,
  parts: readonly ProducePart[],
): Promise<ProducedPart[]> {
  const body = [wire.text(transactionalId), wire.int16(allInSync), wire.int32(replicasMs)]
  const topics = byTopic(parts)
  body.push(wire.arrayOf(topics.size))
  for (const [topic, own] of topics) {
    body.push(wire.text(topic), wire.arrayOf(own.length))
    for (const { partition, bytes } of own)
      body.push(wire.int32(partition), wire.arrayOf(bytes.length), bytes, wire.noTags)
    body.push(wire.noTags)
  }
  body.push(wire.noTags)
  const answer = await ask({ apiKey: produceKey, version: produceVersion, body })
  return answer.array(() => topicAnswer(answer)).flat()
}

function byTopic(parts: readonly ProducePart[]): Map<string, ProducePart[]> {
  const topics = new Map<string, ProducePart[]>()
  for (const part of parts) {
    const own = topics.get(part.topic)
    if (own === undefined) topics.set(part.topic, [part])
    else own.push(part)
  }
  return topics
}

function topicAnswer(answer: Reader): ProducedPart[] {
  const topic = answer.text()!
  const parts = answer.array(() => {
    const partition = answer.int32()
    const error = answer.int16()
    const offset = answer.int64()
    answer.int64() // append time
    answer.int64() // first offset of the partition
    answer.array(() => {
      answer.int32() // which record is wrong, and why
      answer.text()
      answer.tags()
    })
    const message = answer.text()
    answer.tags()
    return { topic, partition, error, message, offset }
  })
  answer.tags()
  return parts
}
