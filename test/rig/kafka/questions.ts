import type { BrokerAccess } from '../../../src/engines/kafka/broker-access.ts'
import { BrokerConnection } from '../../../src/engines/kafka/broker-connection.ts'
import * as questions from '../../../src/engines/kafka/broker-questions.ts'
import * as groups from '../../../src/engines/kafka/group-questions.ts'
import { wire } from '../../../src/engines/kafka/wire.ts'
import { realPlatform } from '../../../src/platform/real-platform.ts'

export type { ActiveProducer, OpenTransaction } from '../../../src/engines/kafka/broker-questions.ts'

// The engine's own questions, each over a connection of its own to one broker on loopback.

export async function asking<T>(
  port: number,
  question: (ask: questions.Ask) => Promise<T>,
  access: BrokerAccess = { tls: undefined, sasl: undefined },
): Promise<T> {
  const place = { host: '127.0.0.1', port }
  const connection = await BrokerConnection.open(realPlatform, place, access, 5_000)
  try {
    return await question((request) => connection.ask(request))
  } finally {
    connection.close()
  }
}

export const liveBrokers = async (port: number, access?: BrokerAccess): Promise<number[]> =>
  (await asking(port, questions.liveBrokers, access)).map(({ id }) => id)

export const settingsOf = (
  port: number,
  type: 'topic' | 'broker',
  name: string,
  keys?: readonly string[],
): Promise<Map<string, string>> => asking(port, (one) => questions.settingsOf(one, type, name, keys))

export const transactionsOf = (port: number, states?: readonly string[]) =>
  asking(port, (one) => questions.transactionsOf(one, states))

export const producersOf = (port: number, topic: string, partition: number) =>
  asking(port, (one) => questions.producersOf(one, topic, partition))

export const groupState = (port: number, group: string) =>
  asking(port, (one) => groups.groupState(one, group))

/** Throws a member out of its group, by leaving in its name (ConsumerGroupHeartbeat). */
export const expel = (port: number, group: string, memberId: string): Promise<void> =>
  asking(port, async (ask) => {
    const body = Buffer.concat([
      wire.text(group),
      wire.text(memberId),
      wire.int32(-1), // leaving
      wire.text(undefined),
      wire.text(undefined),
      wire.int32(-1),
      wire.array(undefined),
      wire.text(undefined),
      wire.array(undefined),
      wire.noTags,
    ])
    const answer = await ask({ apiKey: 68, version: 0, body })
    answer.int32()
    questions.failOn(answer.int16(), answer.text())
  })

export const coordinatorOf = (port: number, group: string): Promise<questions.BrokerAddress> =>
  asking(port, (one) => groups.coordinatorOf(one, group))

/** How many partitions lack one of their copies, or a leader, as this broker knows it (Metadata). */
export const partitionsOutOfSync = (port: number, access?: BrokerAccess): Promise<number> =>
  asking(
    port,
    async (ask) => {
      const everyTopic = wire.array(undefined)
      const body = Buffer.concat([everyTopic, wire.int8(0), wire.int8(0), wire.noTags])
      const answer = await ask({ apiKey: 3, version: 12, body })
      answer.int32()
      answer.array(() => [answer.int32(), answer.text(), answer.int32(), answer.text(), answer.tags()])
      answer.text()
      answer.int32()
      const topics = answer.array(() => {
        answer.int16()
        answer.text()
        answer.plain(16)
        answer.boolean()
        const partitions = answer.array(() => {
          const error = answer.int16()
          answer.int32()
          answer.int32()
          answer.int32()
          const copies = answer.array(() => answer.int32()).length
          const inSync = answer.array(() => answer.int32()).length
          answer.array(() => answer.int32())
          answer.tags()
          return error === 0 && inSync === copies
        })
        answer.int32()
        answer.tags()
        return partitions
      })
      return topics.flat().filter((isWhole) => !isWhole).length
    },
    access,
  )
