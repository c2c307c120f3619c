import type { Engine } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { checkOptionNames, invalidOption, oneOf, requireOptions, wholeNumber } from '../../options.ts'
import type { ClientModule } from './client-types.ts'
import { type ContentMode, contentModes } from './encode-event.ts'
import { KafkaEngine } from './kafka-engine.ts'
import { kafkaLimits } from './kafka-limits.ts'
import { safetySettings, type UnsafeSetting } from './safety.ts'

export type { ClientModule } from './client-types.ts'
export type { ContentMode } from './encode-event.ts'
export { kafkaFacts } from './facts.ts'
export type { UnsafeSetting } from './safety.ts'

export interface KafkaOptions {
  /** Addresses to begin with, e.g. `kafka-1:9092,kafka-2:9092`. */
  readonly brokers: string
  /** Begins the names of all topics, groups and transactional ids of this log. Default: none. */
  readonly prefix?: string | undefined
  /**
   * Settings of librdkafka for reaching the brokers: `security.protocol`, `sasl.username`, `ssl.ca.location`, … With
   * `compression.type` the client writes, as only it compresses; brokers can do so as well (`compression.type` of a topic).
   */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** The client's module, e.g. `RdKafka` of `@confluentinc/kafka-javascript`. Default: it is imported. */
  readonly client?: ClientModule | undefined
  /**
   * How events are written, in the words of CloudEvents' Kafka binding: `binary`, attributes as headers and the bare data
   * as the value; or `structured`, the whole event as one JSON text. Both are read, also mixed
   * in one topic. Bytes and text that is kept byte for byte are always written in binary mode. Default: `binary`.
   */
  readonly contentMode?: ContentMode | undefined
  /** Folder for the local copy of state, of this engine alone. Default: a temporary one, gone at the end. */
  readonly stateDirectory?: string | undefined
  /**
   * Also keep copies of the state of tasks that other members own, so that taking one over needs no long restore. Costs
   * this process reading all changelogs of its groups. Default: false.
   */
  readonly standby?: boolean | undefined
  /**
   * Who decides about groups: the broker (`consumer`, KIP-848, Kafka 4.0 and later) or the clients (`classic`), whose units the
   * client has to write, more slowly. Default: the broker where it offers that.
   */
  readonly groupProtocol?: 'consumer' | 'classic' | undefined
  /** After so long a broker ends the transaction of a process that is gone; readers wait for it until then. Default 30 s. */
  readonly transactionTimeoutMs?: number | undefined
  /** An operation without an answer for so long is given up. Default 20 s. */
  readonly operationMs?: number | undefined
  /** Broker settings under which acknowledged events may be lost, accepted by name (D7). */
  readonly acceptUnsafe?: readonly UnsafeSetting[] | undefined
}

const optionNames = [
  'brokers',
  'prefix',
  'settings',
  'client',
  'contentMode',
  'stateDirectory',
  'standby',
  'groupProtocol',
  'transactionTimeoutMs',
  'operationMs',
  'acceptUnsafe',
]

/** The engine on Apache Kafka: a topic is a Kafka topic, a unit is a transaction, a group is a consumer group. */
export function kafka(options: KafkaOptions): Engine {
  requireOptions('kafka options', options)
  checkOptionNames('kafka', options, optionNames)
  const { brokers, client, stateDirectory } = options
  if (typeof brokers !== 'string' || brokers === '')
    throw invalidOption('brokers', 'a list of host:port', brokers)
  if (client !== undefined && typeof client?.KafkaConsumer !== 'function') {
    throw invalidOption('client', 'the module RdKafka of @confluentinc/kafka-javascript', client)
  }
  if (stateDirectory !== undefined && (typeof stateDirectory !== 'string' || stateDirectory === '')) {
    throw invalidOption('stateDirectory', 'the path of a folder', stateDirectory)
  }
  if (options.standby !== undefined && typeof options.standby !== 'boolean')
    throw invalidOption('standby', 'true or false', options.standby)
  return new KafkaEngine({
    client,
    isDirect: true,
    stateDirectory,
    standby: options.standby ?? false,
    prefix: checkPrefix(options.prefix ?? ''),
    contentMode: oneOf('contentMode', options.contentMode, contentModes, 'binary'),
    shared: { ...checkSettings(options.settings ?? {}), 'bootstrap.servers': brokers },
    groupProtocol: checkProtocol(options.groupProtocol),
    acceptUnsafe: checkUnsafe(options.acceptUnsafe ?? []),
    transactionTimeoutMs: wholeNumber('transactionTimeoutMs', options.transactionTimeoutMs, {
      min: kafkaLimits.transactionTimeoutMsMin,
      max: kafkaLimits.transactionTimeoutMsMax,
      fallback: kafkaLimits.transactionTimeoutMsDefault,
    }),
    operationMs: wholeNumber('operationMs', options.operationMs, {
      min: 1,
      max: kafkaLimits.operationMsMax,
      fallback: kafkaLimits.operationMsDefault,
    }),
  })
}

function checkProtocol(name: KafkaOptions['groupProtocol']): KafkaOptions['groupProtocol'] {
  return name && oneOf('groupProtocol', name, ['consumer', 'classic'] as const, 'consumer')
}

const prefixGrammar = /^[a-z0-9._-]{0,40}$/

function checkPrefix(prefix: string): string {
  if (typeof prefix === 'string' && prefixGrammar.test(prefix)) return prefix
  throw invalidOption('prefix', 'at most 40 lower-case letters, digits, ".", "_" and "-"', prefix)
}

/** What the guarantees rest on, and is therefore not to be set from outside. */
const ownSettings: readonly string[] = [
  'acks',
  'auto.offset.reset',
  'bootstrap.servers',
  'enable.auto.commit',
  'enable.auto.offset.store',
  'enable.idempotence',
  'group.id',
  'group.protocol',
  'isolation.level',
  'max.in.flight',
  'max.in.flight.requests.per.connection',
  'metadata.broker.list',
  'rebalance_cb',
  'request.required.acks',
  'transaction.timeout.ms',
  'transactional.id',
]

function checkSettings(
  settings: NonNullable<KafkaOptions['settings']>,
): NonNullable<KafkaOptions['settings']> {
  requireOptions('settings', settings)
  for (const name of Object.keys(settings)) {
    if (!ownSettings.includes(name)) continue
    throw new SemelError(
      'UNSAFE_SETTING',
      `settings may not hold ${name}: the engine's guarantees rest on it`,
      {
        field: `settings.${name}`,
        hint: 'leave it out; brokers, prefix and transactionTimeoutMs are options of their own',
      },
    )
  }
  return settings
}

function checkUnsafe(names: readonly UnsafeSetting[]): readonly UnsafeSetting[] {
  if (Array.isArray(names) && names.every((name) => safetySettings.includes(name))) return names
  throw new SemelError('INVALID_OPTION', `acceptUnsafe is a list of ${safetySettings.join(', ')}`, {
    field: 'acceptUnsafe',
  })
}
