import { after, before, describe, test } from 'node:test'
import type { Engine } from '../../../src/engine/engine.ts'
import { type KafkaOptions, kafka, kafkaFacts } from '../../../src/engines/kafka/index.ts'
import { engineConformance } from '../../../src/testing/conformance/index.ts'
import { type Kafka, startKafka } from './broker.ts'
import { rdkafka } from './client.ts'

type ContentMode = NonNullable<KafkaOptions['contentMode']>

/** The suite that every engine passes, against a real broker, with events written in this mode. */
export function kafkaConformance(
  contentMode: ContentMode,
  open: (options: KafkaOptions) => Engine = kafka,
  name = `kafka, ${contentMode} mode`,
): void {
  let broker: Kafka
  let logs = 0
  before(async () => {
    const settings = {
      'group.consumer.session.timeout.ms': 1_500,
      'group.consumer.heartbeat.interval.ms': 200,
    }
    broker = await startKafka({ brokers: 1, settings })
  })
  after(() => broker.stop())

  engineConformance({
    test,
    describe,
    name,
    facts: kafkaFacts,
    instances: 'many',
    expectSkips: [
      'appendClock=broker',
      'atomicVisibility=false',
      'dedup=inbox',
      'denseOffsets=false',
      'ownership=broker-group',
      'retention=false',
      'seals=false',
      'sql=undefined',
    ],
    open: () => {
      const prefix = `log${++logs}.`
      return {
        engine: () =>
          open({
            brokers: broker.bootstrap,
            prefix,
            client: rdkafka,
            contentMode,
            acceptUnsafe: ['replication.factor'],
          }),
      }
    },
  })
}
