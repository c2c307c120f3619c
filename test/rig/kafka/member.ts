// One process of a group, to be stopped and killed. `fork` it with bootstrap, prefix, its name and the group protocol;
// it counts the events of topic `words` per key and emits each count, until it is told to stop. Says `ready`, `stopped`.

import { kafka } from '../../../src/engines/kafka/index.ts'
import { openBus, topic } from '../../../src/index.ts'
import { rdkafka } from './client.ts'

export interface Word {
  readonly key: string
  readonly n: number
}
export interface Count extends Word {
  readonly count: number
}

export const words = topic<Word>('words', { partitions: 4, dedup: false, key: ({ key }) => key })
export const counts = topic<Count>('counts', { partitions: 4, dedup: false, key: ({ key }) => key })

export function openMember(
  bootstrap: string,
  prefix: string,
  member: string,
  groupProtocol: 'consumer' | 'classic',
) {
  const acceptUnsafe = ['replication.factor', 'transaction.timeout.ms'] as const
  const engine = kafka({
    brokers: bootstrap,
    prefix,
    client: rdkafka,
    groupProtocol,
    acceptUnsafe,
    transactionTimeoutMs: 5_000,
  })
  return openBus({ engine, topics: [words, counts], member })
}

if (process.send !== undefined) {
  const [bootstrap, prefix, name, protocol] = process.argv.slice(2) as [
    string,
    string,
    string,
    'consumer' | 'classic',
  ]
  const bus = await openMember(bootstrap, prefix, name, protocol)
  bus.consume(words, { group: 'counters', leaseMs: 1_500 }, async (event, tx) => {
    const state = tx.state<number>('count')
    const count = ((await state.get()) ?? 0) + 1
    await state.set(count)
    tx.emit(counts, { ...event.data, count })
  })
  process.once('message', async () => {
    await bus.stop()
    process.send!('stopped')
    process.disconnect()
  })
  process.send('ready')
}
