import { type Ask, failOn } from './broker-questions.ts'
import type { Clients } from './client.ts'
import type { Admin, TopicDescription } from './client-types.ts'
import type { Cluster } from './cluster.ts'
import { plainId } from './fetch-question.ts'
import { clientCode } from './kafka-errors.ts'
import type { Place } from './known-brokers.ts'
import { wire } from './wire.ts'

/** A topic as a broker tells it. */
export interface SeenTopic {
  readonly id: string
  readonly partitions: number
  /** Copies of the partition that has the fewest. */
  readonly replicas: number
  /** Of those partitions that have one. */
  readonly leaders: ReadonlyMap<number, Place>
}

/** `undefined`: there is no such topic. */
export type TopicQuestion = (name: string, patienceMs: number) => Promise<SeenTopic | undefined>

const unknownTopic = 3
const noId = Buffer.alloc(16)

/**
 * Asks any broker. One may not have heard of a new topic yet, or may just have come back, so that there is none is believed
 * when no other broker says otherwise.
 */
export function askAnyBroker(cluster: Cluster): TopicQuestion {
  return async (name) => {
    try {
      return await cluster.withAny((ask) => topicAt(ask, name), [unknownTopic])
    } catch (error) {
      if (clientCode(error) === unknownTopic) return undefined
      throw error
    }
  }
}

/** Asks with the client, which hears of another controller with its questions for the ends of partitions. */
export function askWithClient(clients: Clients, admin: Admin): TopicQuestion {
  return async (name, patienceMs) => {
    const options = { timeout: patienceMs }
    const [found] = await clients.question<TopicDescription[]>((done) =>
      admin.describeTopics([name], options, done),
    )
    if (found === undefined || found.error?.code === unknownTopic) return undefined
    if (found.error) throw found.error
    return seenIn(found)
  }
}

function seenIn({ partitions, topicId }: TopicDescription): SeenTopic {
  return {
    id: topicId.base64,
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    leaders: new Map(
      partitions.flatMap(({ partition, leader }) => (leader === null ? [] : [[partition, leader] as const])),
    ),
  }
}

/** A topic that one broker knows, or an error (Metadata, as of Kafka 3.1). */
export async function topicAt(ask: Ask, name: string): Promise<SeenTopic> {
  const topic = Buffer.concat([noId, wire.text(name), wire.noTags])
  const body = Buffer.concat([wire.array([topic]), wire.int8(0), wire.int8(0), wire.noTags])
  const answer = await ask({ apiKey: 3, version: 12, body })
  answer.int32() // throttle time
  const brokers = new Map(
    answer.array((): [number, Place] => {
      const id = answer.int32()
      const place = { host: answer.text()!, port: answer.int32() }
      answer.text() // rack
      answer.tags()
      return [id, place]
    }),
  )
  answer.text() // cluster
  answer.int32() // controller
  const [found] = answer.array(() => {
    failOn(answer.int16(), undefined)
    answer.text()
    const id = plainId(answer.plain(noId.length).toString('base64'))
    answer.boolean() // internal
    const partitions = answer.array(() => {
      answer.int16() // that it has no leader is told by the leader as well
      const partition = answer.int32()
      const leader = brokers.get(answer.int32())
      answer.int32() // epoch of the leader
      const replicas = answer.array(() => answer.int32()).length
      answer.array(() => answer.int32()) // in sync
      answer.array(() => answer.int32()) // offline
      answer.tags()
      return { partition, leader, replicas }
    })
    answer.int32() // authorized operations
    answer.tags()
    return { id, partitions }
  })
  const { id, partitions } = found!
  return {
    id,
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas)),
    leaders: new Map(
      partitions.flatMap(({ partition, leader }) =>
        leader === undefined ? [] : [[partition, leader] as const],
      ),
    ),
  }
}
