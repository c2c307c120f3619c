import { BrokerError } from './broker-error.ts'
import { type Reader, type WireRequest, wire } from './wire.ts'

// What the client's admin API leaves out, asked directly. Each function is one request of Kafka's protocol.

/** Sends a request to one broker. */
export type Ask = (request: WireRequest) => Promise<Reader>

export interface BrokerAddress {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** Brokers that the asked one believes to be in the cluster and ready (DescribeCluster). */
export async function liveBrokers(ask: Ask): Promise<BrokerAddress[]> {
  const body = Buffer.concat([wire.int8(0), wire.noTags])
  const answer = await ask({ apiKey: 60, version: 0, body })
  answer.int32() // throttle time
  failOn(answer.int16(), answer.text())
  answer.text() // cluster id
  answer.int32() // controller
  return answer.array(() => {
    const id = answer.int32()
    const host = answer.text()!
    const port = answer.int32()
    answer.text() // rack
    answer.tags()
    return { id, host, port }
  })
}

const resourceTypes = { topic: 2, broker: 4 } as const

/** Effective settings of a topic or a broker by name (DescribeConfigs). A broker must be asked about itself. */
export async function settingsOf(
  ask: Ask,
  type: keyof typeof resourceTypes,
  name: string,
  keys?: readonly string[],
): Promise<Map<string, string>> {
  const wanted = wire.array(keys?.map((key) => wire.text(key)))
  const resource = Buffer.concat([wire.int8(resourceTypes[type]), wire.text(name), wanted, wire.noTags])
  const body = Buffer.concat([wire.array([resource]), wire.int8(0), wire.int8(0), wire.noTags])
  const answer = await ask({ apiKey: 32, version: 4, body })
  answer.int32()
  const settings = new Map<string, string>()
  answer.array(() => {
    failOn(answer.int16(), answer.text())
    answer.int8()
    answer.text()
    answer.array(() => {
      const key = answer.text()!
      const value = answer.text()
      if (value !== undefined) settings.set(key, value)
      answer.boolean() // read only
      answer.int8() // source
      answer.boolean() // sensitive
      answer.array(() => answer.tags()) // synonyms: not asked for
      answer.int8() // type
      answer.text() // documentation
      answer.tags()
    })
    answer.tags()
  })
  return settings
}

export interface OpenTransaction {
  readonly transactionalId: string
  readonly producerId: number
  readonly state: string
}

/** Transactions this broker coordinates, in any state if `states` is empty (ListTransactions). */
export async function transactionsOf(ask: Ask, states: readonly string[] = []): Promise<OpenTransaction[]> {
  const wanted = wire.array(states.map((state) => wire.text(state)))
  const body = Buffer.concat([wanted, wire.array([]), wire.int64(-1), wire.noTags])
  const answer = await ask({ apiKey: 66, version: 1, body })
  answer.int32()
  failOn(answer.int16(), undefined)
  answer.array(() => answer.text()) // unknown state filters
  return answer.array(() => {
    const transactionalId = answer.text()!
    const producerId = answer.int64()
    const state = answer.text()!
    answer.tags()
    return { transactionalId, producerId, state }
  })
}

export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** First offset of the producer's open transaction in this partition; -1 if it has none. */
  readonly openSince: number
}

/** Producers that the leader of a partition remembers (DescribeProducers): where a stuck LSO gets its name. */
export async function producersOf(ask: Ask, topic: string, partition: number): Promise<ActiveProducer[]> {
  const partitions = wire.array([wire.int32(partition)])
  const topics = wire.array([Buffer.concat([wire.text(topic), partitions, wire.noTags])])
  const body = Buffer.concat([topics, wire.noTags])
  const answer = await ask({ apiKey: 61, version: 0, body })
  answer.int32()
  const producers: ActiveProducer[] = []
  answer.array(() => {
    answer.text()
    answer.array(() => {
      answer.int32()
      failOn(answer.int16(), answer.text())
      answer.array(() => {
        const producerId = answer.int64()
        const producerEpoch = answer.int32()
        answer.int32() // last sequence
        answer.int64() // last timestamp
        answer.int32() // coordinator epoch
        const openSince = answer.int64()
        answer.tags()
        producers.push({ producerId, producerEpoch, openSince })
      })
      answer.tags()
    })
    answer.tags()
  })
  return producers
}

/** Fails on a broker's error code. */
export function failOn(code: number, message: string | undefined): void {
  if (code !== 0) throw new BrokerError(code, message ?? 'refused')
}
