import { BrokerError } from './broker-error.ts'
import type { Ask } from './broker-questions.ts'
import type { AbortedTransaction } from './record-batch.ts'
import { type Reader, wire } from './wire.ts'

/** One place to read from. A topic is named by its id: another one of the same name is refused by the broker. */
export interface FetchPlace {
  /** As the brokers tell it, in base64. */
  readonly topicId: string
  readonly partition: number
  readonly offset: number
}

export interface FetchedPart {
  readonly topicId: string
  readonly partition: number
  /** A code of Kafka's protocol, 0 if there is none. */
  readonly error: number
  readonly highest: number
  readonly stable: number
  readonly earliest: number
  readonly aborted: readonly AbortedTransaction[]
  readonly batches: Buffer
}

export interface FetchBounds {
  /** How long the broker may wait for the first byte. */
  readonly waitMs: number
  readonly bytesMax: number
  readonly partitionBytesMax: number
}

export const fetchKey = 1
/** The first one that names topics by their ids (Kafka 3.1). */
export const fetchVersion = 13
const noReplica = -1
const readCommitted = 1
const noSession = { id: 0, epoch: -1 }
const unknown = -1

/** Committed records of several partitions that one broker leads (Fetch). No two places may be of one partition. */
export async function fetchFrom(
  ask: Ask,
  places: readonly FetchPlace[],
  bounds: FetchBounds,
): Promise<FetchedPart[]> {
  const body = Buffer.concat([
    wire.int32(noReplica),
    wire.int32(bounds.waitMs),
    wire.int32(1), // bytes to wait for
    wire.int32(bounds.bytesMax),
    wire.int8(readCommitted),
    wire.int32(noSession.id),
    wire.int32(noSession.epoch),
    wire.array(topicsOf(places).map(([id, own]) => topicPart(id, own, bounds.partitionBytesMax))),
    wire.array([]), // of a session, what is not wanted any more
    wire.text(''), // rack
    wire.noTags,
  ])
  const answer = await ask({ apiKey: fetchKey, version: fetchVersion, body })
  answer.int32() // throttle time
  const error = answer.int16()
  if (error !== 0) throw new BrokerError(error, 'refused')
  answer.int32() // session
  return answer.array(() => topicAnswer(answer)).flat()
}

/** Whether base64 is filled up at its end depends on who wrote it. */
export function plainId(id: string): string {
  return id.replace(/=+$/, '')
}

function topicsOf(places: readonly FetchPlace[]): [string, FetchPlace[]][] {
  const topics = new Map<string, FetchPlace[]>()
  for (const place of places) {
    const own = topics.get(place.topicId)
    if (own === undefined) topics.set(place.topicId, [place])
    else own.push(place)
  }
  return [...topics]
}

function topicPart(id: string, places: readonly FetchPlace[], bytesMax: number): Buffer {
  const partitions = places.map(({ partition, offset }) =>
    Buffer.concat([
      wire.int32(partition),
      wire.int32(unknown), // the leader's epoch
      wire.int64(offset),
      wire.int32(unknown), // epoch of the last record
      wire.int64(unknown), // a follower's first offset
      wire.int32(bytesMax),
      wire.noTags,
    ]),
  )
  return Buffer.concat([Buffer.from(id, 'base64'), wire.array(partitions), wire.noTags])
}

function topicAnswer(answer: Reader): FetchedPart[] {
  const topicId = plainId(answer.plain(16).toString('base64'))
  const parts = answer.array(() => partAnswer(answer, topicId))
  answer.tags()
  return parts
}

function partAnswer(answer: Reader, topicId: string): FetchedPart {
  const partition = answer.int32()
  const error = answer.int16()
  const highest = answer.int64()
  const stable = answer.int64()
  const earliest = answer.int64()
  const aborted = answer.array(() => {
    const producerId = answer.int64()
    const firstOffset = answer.int64()
    answer.tags()
    return { producerId, firstOffset }
  })
  answer.int32() // replica to prefer
  const batches = answer.bytes()
  answer.tags()
  return { topicId, partition, error, highest, stable, earliest, aborted, batches }
}
