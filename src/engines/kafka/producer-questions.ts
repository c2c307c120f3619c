import { type Ask, failOn } from './broker-questions.ts'
import type { MemberIdentity } from './group-questions.ts'
import type { PartitionOffset } from './producers.ts'
import { type Reader, wire } from './wire.ts'

// What producers ask beside Produce, in versions from before KIP-890's second part, which every broker since Kafka 2.8 knows.

/** Who writes, for brokers: the number is given by them, the epoch grows whenever its holder changes. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly epoch: number
}

export interface Transactor extends ProducerIdentity {
  readonly transactionalId: string
}

export interface PartitionPlace {
  readonly topic: string
  readonly partition: number
}

const nobody = -1
/** The leader's epoch at an offset: nobody asks for it. */
const noEpoch = -1

/** A new identity (InitProducerId). With a transactional id, asked of its coordinator: ends what is open under it and fences whoever had it. */
export async function initProducer(
  ask: Ask,
  transactionalId: string | undefined,
  transactionTimeoutMs: number,
): Promise<ProducerIdentity> {
  const body = [
    wire.text(transactionalId),
    wire.int32(transactionTimeoutMs),
    wire.int64(nobody),
    wire.int16(nobody),
    wire.noTags,
  ]
  const answer = await ask({ apiKey: 22, version: 4, body })
  answer.int32()
  failOn(answer.int16(), undefined)
  const producerId = answer.int64()
  return { producerId, epoch: answer.int16() }
}

/** These partitions take part in the transaction from now on (AddPartitionsToTxn). */
export async function addPartitions(
  ask: Ask,
  transactor: Transactor,
  places: readonly PartitionPlace[],
): Promise<void> {
  const topics = [...new Set(places.map(({ topic }) => topic))].map((topic) => {
    const own = places.filter((place) => place.topic === topic)
    return Buffer.concat([
      wire.text(topic),
      wire.array(own.map(({ partition }) => wire.int32(partition))),
      wire.noTags,
    ])
  })
  const body = [...identityOf(transactor), wire.array(topics), wire.noTags]
  const answer = await ask({ apiKey: 24, version: 3, body })
  answer.int32()
  const codes = partitionCodes(answer)
  // Where one is refused, others say only that they were not tried.
  for (const code of codes) if (code !== notTried) failOn(code, undefined)
  for (const code of codes) failOn(code, undefined)
}

/** OPERATION_NOT_ATTEMPTED */
const notTried = 55

/** Offsets of this group take part in the transaction from now on (AddOffsetsToTxn). */
export async function addGroup(ask: Ask, transactor: Transactor, group: string): Promise<void> {
  const body = [...identityOf(transactor), wire.text(group), wire.noTags]
  const answer = await ask({ apiKey: 25, version: 3, body })
  answer.int32()
  failOn(answer.int16(), undefined)
}

/**
 * Offsets that count if the transaction is committed, asked of the group's coordinator in the name of a member: one that is
 * none any more, or in another epoch, is refused (TxnOffsetCommit).
 */
export async function commitOffsets(
  ask: Ask,
  transactor: Transactor,
  group: string,
  { memberId, epoch }: MemberIdentity,
  offsets: readonly PartitionOffset[],
): Promise<void> {
  const topics = offsets.map(({ topic, partition, offset }) => {
    const place = [wire.int32(partition), wire.int64(offset), wire.int32(noEpoch), wire.text(''), wire.noTags]
    return Buffer.concat([wire.text(topic), wire.array([Buffer.concat(place)]), wire.noTags])
  })
  const { transactionalId, producerId, epoch: producerEpoch } = transactor
  const body = [
    wire.text(transactionalId),
    wire.text(group),
    wire.int64(producerId),
    wire.int16(producerEpoch),
    wire.int32(epoch),
    wire.text(memberId),
    wire.text(undefined), // no static member
    wire.array(topics),
    wire.noTags,
  ]
  const answer = await ask({ apiKey: 28, version: 3, body })
  answer.int32()
  for (const code of partitionCodes(answer)) failOn(code, undefined)
}

/** Commits (EndTxn). */
export async function commitTransaction(ask: Ask, transactor: Transactor): Promise<void> {
  const answer = await ask({
    apiKey: 26,
    version: 3,
    body: [...identityOf(transactor), wire.int8(1), wire.noTags],
  })
  answer.int32()
  failOn(answer.int16(), undefined)
}

/** Of topics with their partitions, each with an error. */
function partitionCodes(answer: Reader): number[] {
  const codes: number[] = []
  answer.array(() => {
    answer.text()
    answer.array(() => {
      answer.int32()
      codes.push(answer.int16())
      answer.tags()
    })
    answer.tags()
  })
  return codes
}

function identityOf({ transactionalId, producerId, epoch }: Transactor): Buffer[] {
  return [wire.text(transactionalId), wire.int64(producerId), wire.int16(epoch)]
}
