import { BrokerError } from './broker-error.ts'
import { type Ask, type BrokerAddress, failOn } from './broker-questions.ts'
import type { TopicPartition } from './client-types.ts'
import type { Cluster } from './cluster.ts'
import { Reader, wire } from './wire.ts'

// Groups as their coordinators know them, asked directly: the client's own describeGroups ends the process with a
// segmentation fault when a broker answers an error (kafka-javascript 1.10.1, FromConsumerGroupDescription).

/** GROUP_ID_NOT_FOUND, also of a group of the other protocol, and UNSUPPORTED_VERSION of brokers without KIP-848. */
const otherProtocol: readonly number[] = [69, 35]

/** Whether the broker takes KIP-848 members, which it may know of and not offer. Group id and answer do not matter. */
export async function offersConsumerProtocol(ask: Ask, group: string): Promise<boolean> {
  const keys = await apiKeysOf(ask)
  if (!keys.has(consumerGroupHeartbeat) || !keys.has(consumerGroupDescribe)) return false
  try {
    await groupState(ask, group)
    return true
  } catch (error) {
    if (error instanceof BrokerError) return error.code !== unsupportedVersion
    throw error
  }
}

const consumerGroupHeartbeat = 68
const consumerGroupDescribe = 69
const unsupportedVersion = 35

/** The requests that a broker understands, each with its newest version (ApiVersions). */
export async function apiKeysOf(ask: Ask): Promise<ReadonlyMap<number, number>> {
  const answer = await ask({ apiKey: 18, version: 0, body: Buffer.alloc(0), flexible: false })
  failOn(answer.int16(), undefined)
  return new Map(
    answer.longArray(() => {
      const key = answer.int16()
      answer.int16() // oldest version
      return [key, answer.int16()] as const
    }),
  )
}

/** Who a member is for its coordinator: the epoch grows with each rebalance. */
export interface MemberIdentity {
  readonly memberId: string
  /** 0 in groups of the classic protocol. */
  readonly epoch: number
}

export interface GroupState {
  readonly state: string
  /** 0 in groups of the classic protocol. */
  readonly epoch: number
  readonly members: readonly (MemberIdentity & {
    readonly clientId: string
    readonly assigned: readonly TopicPartition[]
  })[]
}

/** A group of either protocol, asked from its coordinator. A group that never was has no members. */
export async function describeGroup(cluster: Cluster, group: string): Promise<GroupState> {
  return await cluster.withCoordinator(group, async (ask) => {
    try {
      return await groupState(ask, group)
    } catch (error) {
      const isOther = error instanceof BrokerError && otherProtocol.includes(error.code)
      if (!isOther) throw error
      return await classicGroupState(ask, group)
    }
  })
}

/**
 * The member of this client that has the partition. While one hands it over, it is listed no longer and still nobody else's:
 * then it is `handingOver`, if that is a member still.
 */
export function ownerIn(
  { members }: GroupState,
  clientId: string,
  { topic, partition }: TopicPartition,
  handingOver: string | undefined,
): MemberIdentity | undefined {
  const holder = members.find(({ assigned }) =>
    assigned.some((place) => place.topic === topic && place.partition === partition),
  )
  if (holder !== undefined) return holder.clientId === clientId ? holder : undefined
  return members.find(({ memberId }) => memberId === handingOver)
}

const coordinated = { group: 0, transaction: 1 } as const
export type Coordinated = keyof typeof coordinated

/** The broker that leads a group, or the transactions of an id (FindCoordinator). */
export async function coordinatorOf(
  ask: Ask,
  name: string,
  kind: Coordinated = 'group',
): Promise<BrokerAddress> {
  const body = Buffer.concat([wire.int8(coordinated[kind]), wire.array([wire.text(name)]), wire.noTags])
  const answer = await ask({ apiKey: 10, version: 4, body })
  answer.int32()
  const [found] = answer.array(() => {
    answer.text()
    const id = answer.int32()
    const host = answer.text()!
    const port = answer.int32()
    failOn(answer.int16(), answer.text())
    answer.tags()
    return { id, host, port }
  })
  return found!
}

/** A KIP-848 group with the epochs that the client does not show (ConsumerGroupDescribe). */
export async function groupState(ask: Ask, group: string): Promise<GroupState> {
  const body = Buffer.concat([wire.array([wire.text(group)]), wire.int8(0), wire.noTags])
  const answer = await ask({ apiKey: consumerGroupDescribe, version: 0, body })
  answer.int32()
  const [found] = answer.array(() => {
    failOn(answer.int16(), answer.text())
    answer.text()
    const state = answer.text()!
    const epoch = answer.int32()
    answer.int32() // assignment epoch
    answer.text() // assignor
    const members = answer.array(() => memberIn(answer))
    answer.int32()
    answer.tags()
    return { state, epoch, members }
  })
  return found!
}

function memberIn(answer: Reader): GroupState['members'][number] {
  const memberId = answer.text()!
  answer.text() // instance
  answer.text() // rack
  const epoch = answer.int32()
  const clientId = answer.text()!
  answer.text() // host
  answer.array(() => answer.text())
  answer.text() // pattern
  const assigned = assignmentIn(answer)
  assignmentIn(answer) // target
  answer.tags()
  return { memberId, epoch, clientId, assigned }
}

function assignmentIn(answer: Reader): TopicPartition[] {
  const topics = answer.array(() => {
    answer.int64()
    answer.int64() // topic id
    const topic = answer.text()!
    const partitions = answer.array(() => answer.int32())
    answer.tags()
    return partitions.map((partition) => ({ topic, partition }))
  })
  answer.tags()
  return topics.flat()
}

/** A group of the classic protocol (DescribeGroups). */
export async function classicGroupState(ask: Ask, group: string): Promise<GroupState> {
  const body = Buffer.concat([wire.array([wire.text(group)]), wire.int8(0), wire.noTags])
  const answer = await ask({ apiKey: 15, version: 5, body })
  answer.int32()
  const [found] = answer.array(() => {
    failOn(answer.int16(), undefined)
    answer.text()
    const state = answer.text()!
    answer.text() // protocol type
    answer.text() // assignor
    const members = answer.array(() => {
      const memberId = answer.text()!
      answer.text() // instance
      const clientId = answer.text()!
      answer.text() // host
      answer.bytes() // subscription
      const assigned = classicAssignment(answer.bytes())
      answer.tags()
      return { memberId, epoch: 0, clientId, assigned }
    })
    answer.int32() // authorized operations
    answer.tags()
    return { state, epoch: 0, members }
  })
  return found!
}

/** As the leader of a classic group wrote it: Kafka's ConsumerProtocolAssignment. Empty while the group is joining. */
function classicAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  const reader = new Reader(bytes)
  reader.int16() // version
  const topics = reader.longArray(() => {
    const topic = reader.shortText()
    return reader.longArray(() => ({ topic, partition: reader.int32() }))
  })
  return topics.flat()
}
