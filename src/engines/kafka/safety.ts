import type { Durability } from '../../engine/facts.ts'
import type { ClauseException } from '../../engine/status.ts'
import { isSemelError, SemelError } from '../../errors.ts'
import { BrokerError } from './broker-error.ts'
import { settingsOf } from './broker-questions.ts'
import type { Cluster } from './cluster.ts'
import { clientCode, translated } from './kafka-errors.ts'
import type { KafkaTopic, TopicTable } from './topic-table.ts'

/** Settings under which acknowledged events may be lost, or units may never come to an end. */
export const safetySettings = [
  'replication.factor',
  'min.insync.replicas',
  'unclean.leader.election.enable',
  'transaction.timeout.ms',
  /** The brokers do not tell this user their settings. */
  'unread-settings',
] as const
export type UnsafeSetting = (typeof safetySettings)[number]

export interface SafetyWishes {
  readonly durability: Durability
  readonly accepted: readonly UnsafeSetting[]
  readonly transactionTimeoutMs: number
  readonly operationMs: number
}

interface Risk {
  readonly setting: UnsafeSetting
  readonly clause: string
  readonly why: string
  readonly hint: string
}

type Settings = ReadonlyMap<string, string>
type Copies = Pick<KafkaTopic, 'name' | 'replicas'>

const minInSync = 'min.insync.replicas'
const unclean = 'unclean.leader.election.enable'
const maxTimeout = 'transaction.max.timeout.ms'
const topicKeys = [minInSync, unclean]
const logReplicas = 'transaction.state.log.replication.factor'
const logMinInSync = 'transaction.state.log.min.isr'
const brokerKeys = [maxTimeout, logReplicas, logMinInSync, unclean, minInSync, 'default.replication.factor']
const transactionLog = '__transaction_state'

/**
 * Reads what the guarantees rest on and refuses it by name, unless it was accepted by name (D7). What was accepted is
 * told as exceptions of the guarantee card.
 */
export class Safety {
  readonly #cluster: Cluster
  readonly #topics: TopicTable
  readonly #wishes: SafetyWishes
  readonly #taken = new Map<string, ClauseException>()
  #broker: Settings = new Map()

  constructor(cluster: Cluster, topics: TopicTable, wishes: SafetyWishes) {
    this.#cluster = cluster
    this.#topics = topics
    this.#wishes = wishes
  }

  get exceptions(): readonly ClauseException[] {
    return [...this.#taken.values()]
  }

  /** The brokers' own settings and the topic that holds the fate of transactions. */
  async checkCluster(): Promise<void> {
    const settings = await this.#read('of the brokers', () => this.#readBroker())
    this.#broker = settings ?? new Map()
    this.#checkTimeouts()
    const found = await this.#read(`of ${transactionLog}`, () => this.#topics.look(transactionLog))
    if (found !== undefined) await this.checkTopic(found)
    else if (settings !== undefined) this.#checkCopies(...futureTransactionLog(settings))
  }

  async checkTopic(topic: Copies): Promise<void> {
    const { name } = topic
    const read = () => this.#cluster.topicSettings(name, topicKeys)
    const settings = await this.#read(`of topic ${name}`, read)
    this.#checkCopies(topic, settings ?? new Map())
  }

  /** For topics that are made here: safer than the brokers' defaults, unless those were accepted by name. */
  get topicSettings(): Readonly<Record<string, string>> {
    const { accepted } = this.#wishes
    const settings: Record<string, string> = {}
    const copies = Number(this.#broker.get('default.replication.factor') ?? 1)
    const needed = Number(this.#broker.get(minInSync) ?? 2)
    if (copies > 1 && needed < 2 && !accepted.includes(minInSync)) settings[minInSync] = '2'
    if (this.#broker.get(unclean) === 'true' && !accepted.includes(unclean)) settings[unclean] = 'false'
    return settings
  }

  async #readBroker(): Promise<Settings> {
    const [first] = await this.#cluster.brokers()
    return await this.#cluster.at(first!, (ask) => settingsOf(ask, 'broker', String(first!.id), brokerKeys))
  }

  /** `undefined` where the brokers refuse to tell and that was accepted; a broker that is away is an error of its own. */
  async #read<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      if (!isUntold(error)) throw translated(error, `reading the settings ${what}`, 'not-applied')
      this.#meet(what, {
        setting: 'unread-settings',
        clause: 'D1',
        why: `the settings ${what} could not be read: ${error.message}`,
        hint: 'allow this user DescribeConfigs on the cluster and the topics, and use PLAIN or SCRAM',
      })
      return undefined
    }
  }

  #checkCopies(topic: Copies, settings: Settings): void {
    for (const risk of copyRisks(topic, settings, this.#wishes.durability)) this.#meet(topic.name, risk)
  }

  #checkTimeouts(): void {
    const { transactionTimeoutMs, operationMs } = this.#wishes
    const longest = Number(this.#broker.get(maxTimeout) ?? Number.POSITIVE_INFINITY)
    if (transactionTimeoutMs > longest) {
      throw new SemelError(
        'UNSAFE_SETTING',
        `the brokers allow transactions of ${longest} ms, not of ${transactionTimeoutMs} ms`,
        { field: maxTimeout, hint: `raise ${maxTimeout} of the brokers, or lower transactionTimeoutMs` },
      )
    }
    if (transactionTimeoutMs >= operationMs) return
    this.#meet('', {
      setting: 'transaction.timeout.ms',
      clause: 'L1',
      why: `a unit may take ${operationMs} ms, and the brokers break its transaction off after ${transactionTimeoutMs} ms`,
      hint: 'raise transactionTimeoutMs to operationMs at least, or lower operationMs',
    })
  }

  #meet(where: string, { setting, clause, why, hint }: Risk): void {
    if (!this.#wishes.accepted.includes(setting)) {
      throw new SemelError('UNSAFE_SETTING', why, {
        field: setting,
        hint: `${hint}; or accept it by name: kafka({ acceptUnsafe: ['${setting}'] })`,
      })
    }
    this.#taken.set(`${setting} ${where}`, { clause, why })
  }
}

/** Refused by the broker, or asked for in a way that only librdkafka can. A failed login is neither. */
function isUntold(error: unknown): error is Error {
  if (error instanceof BrokerError) return untoldCodes.includes(error.code)
  if (!isSemelError(error)) return false
  return error.code === 'UNSUPPORTED' || untoldCodes.includes(clientCode(error.cause) ?? 0)
}

/** Not allowed to see a topic or the cluster; a question or a version of it that the broker does not know. */
const untoldCodes: readonly number[] = [29, 31, 35, 42]

/** The topic is made with the first transaction, from these settings of the brokers. */
function futureTransactionLog(broker: Settings): [Copies, Settings] {
  const copies = { name: transactionLog, replicas: Number(broker.get(logReplicas) ?? 1) }
  return [
    copies,
    new Map([
      [minInSync, broker.get(logMinInSync) ?? '1'],
      [unclean, broker.get(unclean) ?? 'false'],
    ]),
  ]
}

function copyRisks({ name, replicas }: Copies, settings: Settings, durability: Durability): Risk[] {
  const risks: Risk[] = []
  const change = (setting: string, value: string) =>
    name === transactionLog
      ? `set ${setting} of topic ${name} to ${value}, and ${setting === minInSync ? logMinInSync : setting} of the brokers`
      : `set ${setting} of topic ${name} to ${value}`
  // One copy cannot be taken over by another one, so the settings for that say nothing.
  if (replicas <= 1) return durability === 'fsync' ? [singleCopy(name)] : []
  if (durability === 'fsync' && Number(settings.get(minInSync) ?? 2) < 2) {
    risks.push({
      setting: minInSync,
      clause: 'D1',
      why: `topic ${name} has ${minInSync} ${settings.get(minInSync)}: a single broker may acknowledge, before the event is on a disk`,
      hint: `${change(minInSync, '2')}, or ask for durability "os"`,
    })
  }
  if (settings.get(unclean) === 'true') {
    risks.push({
      setting: unclean,
      clause: 'D1',
      why: `topic ${name} has ${unclean} true: a copy that lacks acknowledged events may become the log`,
      hint: change(unclean, 'false'),
    })
  }
  return risks
}

function singleCopy(name: string): Risk {
  const factor = name === transactionLog ? logReplicas : 'default.replication.factor'
  return {
    setting: 'replication.factor',
    clause: 'D1',
    why: `topic ${name} has replication.factor 1: a broker acknowledges before the event is on a disk, and nobody else has it`,
    hint: `set ${factor} of the brokers to 3 and give the topic more copies, or ask for durability "os"`,
  }
}
