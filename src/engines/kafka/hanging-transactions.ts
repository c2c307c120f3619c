import { BrokerError } from './broker-error.ts'
import { type ActiveProducer, type OpenTransaction, producersOf, transactionsOf } from './broker-questions.ts'
import type { Cluster } from './cluster.ts'

/** A transaction that nobody ends: readers stand still at its first offset (V3). */
export interface HangingTransaction {
  /** Kafka's name of the topic. */
  readonly topic: string
  readonly partition: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly openSince: number
  /** `undefined` if no coordinator knows the transaction any more: only an administrator can abort it. */
  readonly transactionalId: string | undefined
}

type Place = Pick<HangingTransaction, 'topic' | 'partition'>

/** Who holds the stable ends of these partitions back, as their leaders and the coordinators tell. */
export async function hangingTransactions(
  cluster: Cluster,
  stuck: readonly Place[],
): Promise<readonly HangingTransaction[]> {
  if (stuck.length === 0) return []
  const found: (Place & ActiveProducer)[] = []
  const open: OpenTransaction[] = []
  for (const broker of await cluster.brokers()) {
    await cluster.at(broker, async (ask) => {
      open.push(...(await transactionsOf(ask)))
      for (const { topic, partition } of stuck) {
        const producers = await ledBy(() => producersOf(ask, topic, partition))
        found.push(...producers.map((producer) => ({ topic, partition, ...producer })))
      }
    })
  }
  const names = new Map(open.map(({ producerId, transactionalId }) => [producerId, transactionalId]))
  return found
    .filter(({ openSince }) => openSince >= 0)
    .map((holder) => ({ ...holder, transactionalId: names.get(holder.producerId) }))
}

const notLeader: readonly number[] = [3, 5, 6]

/** Nothing from a broker that does not lead the partition. */
async function ledBy<T>(ask: () => Promise<T[]>): Promise<T[]> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof BrokerError && notLeader.includes(error.code)) return []
    throw error
  }
}

/** For status: `producer 4003 (epoch 0, transactional id "billing") open since offset 17 of orders/0`. */
export function hangingText({
  topic,
  partition,
  producerId,
  producerEpoch,
  openSince,
  transactionalId,
}: HangingTransaction): string {
  const id =
    transactionalId === undefined
      ? 'no transactional id'
      : `transactional id ${JSON.stringify(transactionalId)}`
  return `producer ${producerId} (epoch ${producerEpoch}, ${id}) open since offset ${openSince} of ${topic}/${partition}`
}
