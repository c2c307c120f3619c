import type {
  AppendGroup,
  AppendResult,
  Engine,
  EngineContext,
  JoinRequest,
  Lease,
  Membership,
  OwnershipListener,
  PartitionBounds,
  ReadRequest,
  ReadResult,
  ScanRequest,
  StateEntry,
  TaskId,
  TaskPosition,
  TopicSpec,
  Unit,
  UnitTransaction,
} from '../../engine/engine.ts'
import type { EngineStatus } from '../../engine/status.ts'
import { assert, hasCode, SemelError } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { AppendWatch } from './append-watch.ts'
import { brokerAccess } from './broker-access.ts'
import { Clients, loadClient } from './client.ts'
import { ClientProducers, ClientUnitProducers } from './client-producers.ts'
import type { Admin, ClientModule, Config } from './client-types.ts'
import { Cluster } from './cluster.ts'
import type { DirectParts } from './direct-consumer.ts'
import { DirectProducers } from './direct-producers.ts'
import { type ContentMode, encoderOf } from './encode-event.ts'
import { kafkaFacts } from './facts.ts'
import { fetchKey, fetchVersion } from './fetch-question.ts'
import { GroupMember, type MemberParts, taskName } from './group-member.ts'
import { apiKeysOf, offersConsumerProtocol } from './group-questions.ts'
import { translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import { KafkaLog } from './kafka-log.ts'
import { KafkaNames } from './kafka-names.ts'
import { kafkaStatus } from './kafka-status.ts'
import { LocalState } from './local-state.ts'
import { LogEnds } from './log-ends.ts'
import type { OwnedTask } from './owned-task.ts'
import { PartitionReader } from './partition-reader.ts'
import type { PreparedBatch, Producers, UnitProducers } from './producers.ts'
import { type IsCommitted, Publisher } from './publisher.ts'
import { Registry } from './registry.ts'
import { Safety, type UnsafeSetting } from './safety.ts'
import { StandbyCopies } from './standby-copies.ts'
import { TaskView, type ViewParts } from './task-view.ts'
import { askAnyBroker, askWithClient } from './topic-question.ts'
import { TopicTable } from './topic-table.ts'

export interface KafkaSettings {
  readonly client: ClientModule | undefined
  /** Fetch without the client, where brokers and settings allow it. */
  readonly isDirect: boolean
  readonly stateDirectory: string | undefined
  readonly standby: boolean
  readonly prefix: string
  readonly contentMode: ContentMode
  readonly shared: Config
  readonly groupProtocol: 'consumer' | 'classic' | undefined
  readonly acceptUnsafe: readonly UnsafeSetting[]
  readonly transactionTimeoutMs: number
  readonly operationMs: number
}

/** How brokers are reached. */
interface Ways {
  readonly clients: Clients
  readonly admin: Admin
  readonly cluster: Cluster
}

/** What an open engine consists of. */
interface Opened {
  readonly context: EngineContext
  readonly logId: string
  readonly admin: Admin
  readonly cluster: Cluster
  readonly reader: PartitionReader
  readonly publisher: Pick<Publisher, 'append' | 'close'>
  readonly log: KafkaLog
  readonly ends: LogEnds
  readonly registry: Registry
  readonly local: LocalState
  readonly members: Set<GroupMember>
  readonly parts: MemberParts
}

export class KafkaEngine implements Engine {
  readonly facts = kafkaFacts
  readonly #settings: KafkaSettings
  readonly #watch = new AppendWatch()
  readonly #standbys = new Set<StandbyCopies>()
  #opened: Opened | undefined

  constructor(settings: KafkaSettings) {
    this.#settings = settings
  }

  async open(context: EngineContext): Promise<void> {
    const { prefix, shared, operationMs } = this.#settings
    const module = await loadClient(this.#settings.client)
    const clients = new Clients(
      module,
      context.platform,
      { ...tuning, ...shared, 'client.id': context.member },
      operationMs,
    )
    const admin = await clients.admin()
    const cluster = new Cluster(context.platform, shared, clients.known, operationMs)
    try {
      this.#opened = await this.#build(context, { clients, admin, cluster }, new KafkaNames(prefix))
    } catch (error) {
      cluster.close()
      admin.disconnect()
      throw error
    }
  }

  async #build(context: EngineContext, ways: Ways, names: KafkaNames): Promise<Opened> {
    const { admin, clients, cluster } = ways
    const { acceptUnsafe: accepted, operationMs, shared, transactionTimeoutMs } = this.#settings
    const { durability, platform } = context
    const isDirect = this.#settings.isDirect && (await canFetch(cluster))
    const question = isDirect ? askAnyBroker(cluster) : askWithClient(clients, admin)
    const topics = new TopicTable(clients, admin, question)
    const wishes = { durability, accepted, transactionTimeoutMs, operationMs }
    const safety = new Safety(cluster, topics, wishes)
    await safety.checkCluster()
    const registryTopic = await topics.ensure(names.registry, 1, {
      'cleanup.policy': 'compact',
      ...safety.topicSettings,
    })
    await safety.checkTopic(registryTopic)
    const ends = new LogEnds(clients, admin)
    const direct = isDirect ? { platform, topics, access: brokerAccess(shared) } : undefined
    const reader = new PartitionReader(clients, ends, names.group('semel.reader'), direct)
    const isCommitted = async (topic: string, partition: number, offset: number): Promise<boolean> => {
      return (await log.firstFrom(topic, partition, offset))?.offset === offset
    }
    const transactionalId = names.publisherId(uniqueName(context.platform))
    const groupProtocol = this.#settings.groupProtocol ?? (await offeredProtocol(cluster, names))
    const given = { clients, topics, cluster, transactionTimeoutMs, contentMode: this.#settings.contentMode }
    const { producers, publisher } = writersOf(
      { ...given, names, transactionalId, isCommitted, groupProtocol },
      isCompressing(shared) ? undefined : direct,
    )
    const registry = new Registry(names, reader, publisher)
    const log = new KafkaLog({ clients, names, topics, ends, reader, registry, safety })
    const local = LocalState.open(this.#settings.stateDirectory)
    const viewOf = views({ platform: context.platform, names, topics, reader, local })
    const parts: MemberParts = {
      clients,
      producers,
      names,
      topics,
      logId: registryTopic.id,
      unique: uniqueName(context.platform),
      groupProtocol,
      safety,
      cluster,
      member: context.member,
      view: viewOf,
      tasks: new Map(),
    }
    const logId = registryTopic.id
    return {
      context,
      logId,
      admin,
      cluster,
      reader,
      publisher,
      log,
      ends,
      registry,
      local,
      members: new Set(),
      parts,
    }
  }

  async close(): Promise<void> {
    const { admin, cluster, local, log, members, publisher, reader } = this.#open
    this.#watch.close()
    await Promise.all([...this.#standbys].map((standby) => standby.stop()))
    await Promise.all([...members].map((member) => member.leave()))
    await Promise.all([publisher.close(), reader.close(), log.close()])
    cluster.close()
    admin.disconnect()
    local.close()
  }

  get logId(): string {
    return this.#open.logId
  }

  declareTopics(topics: readonly TopicSpec[]): Promise<void> {
    return this.#open.log.declareTopics(topics)
  }

  async append(group: AppendGroup): Promise<AppendResult> {
    const result = await this.#open.publisher.append(group)
    this.#watch.notify()
    return result
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#open.log.read(request)
  }

  bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return this.#open.log.bounds(topic)
  }

  offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return this.#open.log.offsetAt(topic, partition, time)
  }

  onAppend(listener: () => void): () => void {
    return this.#watch.listen(listener)
  }

  async join(request: JoinRequest, listener: OwnershipListener): Promise<Membership> {
    const { members, parts, registry } = this.#open
    const { group } = request
    // First, as handing over begins with the member: whoever joins must be able to see who else there is.
    await registry.put(
      request.topics.map(({ topic, partitions }) => ({ kind: 'group', group, topic, partitions })),
    )
    const member = await GroupMember.join(request, listener, parts)
    members.add(member)
    const standby = this.#standBy(request)
    return {
      giveBack: (lease) => member.giveBack(lease),
      leave: async () => {
        await standby?.stop()
        if (standby !== undefined) this.#standbys.delete(standby)
        await member.leave()
        members.delete(member)
      },
    }
  }

  #standBy(request: JoinRequest): StandbyCopies | undefined {
    const { context, parts } = this.#open
    if (!this.#settings.standby) return undefined
    const isOwned = (task: TaskId): boolean => this.#owned(task) !== undefined
    const standby = new StandbyCopies(request, { platform: context.platform, view: parts.view, isOwned })
    this.#standbys.add(standby)
    return standby
  }

  async load(lease: Lease): Promise<TaskPosition> {
    const owned = this.#owned(lease.task)
    if (owned?.lease.epoch === lease.epoch) return await owned.position()
    const view = this.#open.parts.view(lease.task)
    await view.catchUp()
    return { position: view.record?.position, logId: view.record?.logId }
  }

  async readState(
    task: TaskId,
    store: string,
    keys: readonly string[],
  ): Promise<readonly (string | undefined)[]> {
    return (await this.#currentView(task)).read(store, keys)
  }

  async stores(task: TaskId): Promise<readonly string[]> {
    return (await this.#currentView(task)).stores()
  }

  async scanState({ task, store, after, limit }: ScanRequest): Promise<readonly StateEntry[]> {
    return (await this.#currentView(task)).scan(store, after, limit)
  }

  /** The owner's copy is always what is committed; others read on first. */
  async #currentView(task: TaskId): Promise<TaskView> {
    const view = this.#open.parts.view(task)
    if (this.#owned(task) === undefined) await view.catchUp()
    return view
  }

  async commit(unit: Unit): Promise<void> {
    const { task, epoch } = unit.lease
    const owned = this.#owned(task)
    if (owned?.lease.epoch !== epoch) {
      const name = `${task.group} on ${task.topic}/${task.partition}`
      throw new SemelError('FENCED', `${name} is not owned by this process with epoch ${epoch}`)
    }
    await owned.commit(unit)
    if (unit.appends.length > 0) this.#watch.notify()
  }

  #owned(task: TaskId): OwnedTask | undefined {
    return this.#open.parts.tasks.get(taskName(task))
  }

  async begin(): Promise<UnitTransaction> {
    throw new SemelError('UNSUPPORTED', 'the kafka engine has no SQL')
  }

  /** A broker cannot refuse a topic to producers that know nothing of Semel. */
  async seal(): Promise<void> {
    throw new SemelError('UNSUPPORTED', 'no topic can be moved away from the kafka engine')
  }

  async status(): Promise<EngineStatus> {
    const { cluster, context, ends, log, members, parts, registry } = this.#open
    return await kafkaStatus({
      ...parts,
      cluster,
      ends,
      log,
      members,
      registry,
      member: context.member,
    })
  }

  get #open(): Opened {
    assert(this.#opened !== undefined, 'the guard opens an engine before anything else')
    return this.#opened
  }
}

/** KIP-848 where the brokers offer it. Where they cannot be asked, the client finds out. */
async function offeredProtocol(cluster: Cluster, names: KafkaNames): Promise<'consumer' | 'classic'> {
  const probe = names.group('semel.probe')
  try {
    const isOffered = await cluster.withAny((ask) => offersConsumerProtocol(ask, probe))
    return isOffered ? 'consumer' : 'classic'
  } catch (error) {
    if (hasCode(error, 'UNSUPPORTED')) return 'consumer'
    throw translated(error, 'asking for the group protocol', 'not-applied')
  }
}

interface WriterParts {
  readonly clients: Clients
  readonly names: KafkaNames
  readonly topics: TopicTable
  readonly cluster: Cluster
  readonly transactionTimeoutMs: number
  readonly contentMode: ContentMode
  readonly transactionalId: string
  readonly isCommitted: IsCommitted
  readonly groupProtocol: 'consumer' | 'classic'
}

interface Writers {
  readonly publisher: Pick<Publisher, 'append' | 'write' | 'close'>
  readonly producers: UnitProducers
}

/** In which generation a member of a classic group is, only its client knows. */
function writersOf(parts: WriterParts, direct: DirectParts | undefined): Writers {
  const { clients, contentMode, names, topics, transactionalId, isCommitted } = parts
  const publisher = <B extends PreparedBatch>(producers: Producers<B>) =>
    new Publisher(producers, names, topics, transactionalId, isCommitted)
  const withClient = { ...parts, encode: encoderOf(contentMode) }
  const unitsWithClient = new ClientUnitProducers(withClient)
  if (direct === undefined)
    return { publisher: publisher(new ClientProducers(withClient)), producers: unitsWithClient }
  const { known, operationMs } = clients
  const producers = new DirectProducers({ ...parts, ...direct, known, operationMs })
  const isClassic = parts.groupProtocol === 'classic'
  return { publisher: publisher(producers), producers: isClassic ? unitsWithClient : producers }
}

/** Only the client compresses. */
function isCompressing(settings: Config): boolean {
  return ['compression.codec', 'compression.type'].some((name) => (settings[name] ?? 'none') !== 'none')
}

/** Whether records can be fetched without the client: from these brokers, and with these settings. */
async function canFetch(cluster: Cluster): Promise<boolean> {
  try {
    const keys = await cluster.withAny(apiKeysOf)
    return (keys.get(fetchKey) ?? 0) >= fetchVersion
  } catch (error) {
    if (hasCode(error, 'UNSUPPORTED')) return false
    throw translated(error, 'asking which requests the brokers know', 'not-applied')
  }
}

const tuning: Config = {
  'socket.timeout.ms': kafkaLimits.silentBrokerMs,
  'socket.connection.setup.timeout.ms': kafkaLimits.silentBrokerMs,
  'reconnect.backoff.max.ms': kafkaLimits.reconnectMsMax,
  'linger.ms': 1,
  'socket.nagle.disable': true,
  'message.max.bytes': kafkaLimits.recordBytesMax,
  'queue.buffering.max.messages': kafkaLimits.queuedRecordsMax,
  'retry.backoff.ms': kafkaLimits.transactionRetryMs,
  'topic.metadata.propagation.max.ms': 5_000,
  'topic.metadata.refresh.fast.interval.ms': 50,
}

/** One view of each task, whoever asks. */
function views(parts: ViewParts): (task: TaskId) => TaskView {
  const known = new Map<string, TaskView>()
  return (task) => {
    const view = known.get(taskName(task)) ?? new TaskView(task, parts)
    known.set(taskName(task), view)
    return view
  }
}

function uniqueName({ random }: Platform): string {
  return Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
}
