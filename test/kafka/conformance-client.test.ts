import type { Engine } from '../../src/engine/engine.ts'
import type { KafkaOptions } from '../../src/engines/kafka/index.ts'
import { KafkaEngine } from '../../src/engines/kafka/kafka-engine.ts'
import { kafkaLimits } from '../../src/engines/kafka/kafka-limits.ts'
import { kafkaConformance } from '../rig/kafka/conformance.ts'

/** As with brokers before Kafka 3.1, or a login that only the client knows. */
function readingByClient({ brokers, client, prefix, contentMode, acceptUnsafe }: KafkaOptions): Engine {
  return new KafkaEngine({
    client,
    isDirect: false,
    stateDirectory: undefined,
    standby: false,
    prefix: prefix!,
    contentMode: contentMode!,
    shared: { 'bootstrap.servers': brokers },
    groupProtocol: undefined,
    acceptUnsafe: acceptUnsafe!,
    transactionTimeoutMs: kafkaLimits.transactionTimeoutMsDefault,
    operationMs: kafkaLimits.operationMsDefault,
  })
}

kafkaConformance('binary', readingByClient, "kafka, read by the client's consumers")
