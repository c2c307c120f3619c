import type { BrokerAccess } from '../../../src/engines/kafka/broker-access.ts'
import { BrokerConnection } from '../../../src/engines/kafka/broker-connection.ts'
import * as questions from '../../../src/engines/kafka/broker-questions.ts'
import * as groups from '../../../src/engines/kafka/group-questions.ts'
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
