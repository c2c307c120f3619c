import type { JoinRequest, Lease, Membership, OwnershipListener, TaskId } from '../../engine/engine.ts'
import { hasCode, SemelError } from '../../errors.ts'
import { sleep } from '../../platform/wait.ts'
import { type Clients, call } from './client.ts'
import type { ClientError, Config, Consumer, TopicPartition } from './client-types.ts'
import type { Cluster } from './cluster.ts'
import { describeGroup, type GroupState, type MemberIdentity, ownerIn } from './group-questions.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { OwnGroup } from './own-group.ts'
import { OwnedTask, type TaskParts } from './owned-task.ts'
import type { OffsetMember } from './producers.ts'
import type { Safety } from './safety.ts'
import type { TaskView } from './task-view.ts'

export interface MemberParts extends TaskParts {
  readonly clients: Clients
  readonly groupProtocol: 'consumer' | 'classic'
  readonly safety: Safety
  readonly cluster: Cluster
  /** Name of this process, by which coordinators know its members. */
  readonly member: string
  view(task: TaskId): TaskView
  /** Where commits find the task while it is owned. */
  readonly tasks: Map<string, OwnedTask>
}

export const taskName = ({ group, topic, partition }: TaskId): string =>
  `${group}\u0000${topic}\u0000${partition}`

const assignCode = -175
const wrongState = -172
const atEnd = -1
const partitionKey = (topic: string, partition: number) => `${topic}/${partition}`

/** A partition of a changelog that the group gave us, and the task that comes with it. */
interface Share {
  readonly task: TaskId
  isRevoked: boolean
  owned: OwnedTask | undefined
  /** Whether the listener has its lease. */
  isTold: boolean
  taking: Promise<void>
  /** Since when the coordinator says that it is not ours, on the monotonic clock. */
  deniedSince: number | undefined
  /** Which member the coordinator last said has it. */
  memberId: string | undefined
}

function leasesOf(shares: readonly Share[]): Lease[] {
  return shares.flatMap(({ owned }) => (owned === undefined ? [] : [owned.lease]))
}

/**
 * A member of a consumer group. Who gets a partition of a changelog topic owns the task of the same number; so tasks of
 * a source that is not in Kafka are shared out as well. Nothing is consumed through this consumer.
 *
 * A revoked partition stays ours until it is given back: that is when its owner hands over.
 *
 * A client may believe for minutes that it has partitions which the coordinator gave to others (librdkafka 2.15, after a
 * broker was killed). Taking such a task would fence its owner again and again. So whoever tries a second time asks the
 * coordinator first, and a member that it does not know goes and joins anew.
 */
export class GroupMember implements Membership, OwnGroup {
  readonly request: JoinRequest
  readonly #listener: OwnershipListener
  readonly #parts: MemberParts
  readonly #topics: ReadonlyMap<string, string>
  readonly #shares = new Map<string, Share>()
  #consumer!: Consumer
  /** The group as its coordinator last told it. */
  #seen: GroupState | undefined
  #looking: Promise<GroupState> | undefined
  #isEnding = false
  /** The coordinator does not count us, and our client does not notice. */
  #isForgotten = false
  #polling: Promise<void> | undefined
  #left: Promise<void> | undefined

  private constructor(request: JoinRequest, listener: OwnershipListener, parts: MemberParts) {
    this.request = request
    this.#listener = listener
    this.#parts = parts
    this.#topics = new Map(
      request.topics.map(({ topic }) => [parts.names.changelog(request.group, topic), topic]),
    )
  }

  static async join(
    request: JoinRequest,
    listener: OwnershipListener,
    parts: MemberParts,
  ): Promise<GroupMember> {
    const member = new GroupMember(request, listener, parts)
    await member.#createChangelogs()
    member.#consumer = await member.#subscribed()
    member.#polling = member.#poll()
    return member
  }

  async #subscribed(): Promise<Consumer> {
    const consumer = await this.#parts.clients.consumer(this.#config())
    consumer.setDefaultConsumeTimeout(1)
    consumer.subscribe([...this.#topics.keys()])
    return consumer
  }

  owns(task: TaskId): boolean {
    // Partitions that go away are ours until they are given back, unless they were lost.
    return (
      this.#shareOf(task) !== undefined && this.#consumer.isConnected() && !this.#consumer.assignmentLost()
    )
  }

  async isCounted(task: TaskId): Promise<boolean> {
    // What is being handed over is no longer listed, and waits for us.
    if (this.#shareOf(task)?.isRevoked === true) return true
    try {
      return this.#ownerIn(await this.#look(), task) !== undefined
    } catch (error) {
      // Where only the client can log in, its word has to do.
      if (hasCode(error, 'UNSUPPORTED')) return true
      throw error
    }
  }

  member(task: TaskId): OffsetMember {
    return {
      group: this.#parts.names.group(this.request.group),
      consumer: () => {
        if (!this.#consumer.isConnected()) throw new SemelError('FENCED', 'this member has left its group')
        return this.#consumer
      },
      identity: (refused) => this.#identity(task, refused),
    }
  }

  /** One look is for all tasks, until the coordinator refuses what it told: then there was a rebalance. */
  async #identity(task: TaskId, refused: MemberIdentity | undefined): Promise<MemberIdentity | undefined> {
    const known = this.#seen && this.#ownerIn(this.#seen, task)
    if (known !== undefined && known.epoch !== refused?.epoch) return known
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    this.#seen = await this.#looking
    return this.#ownerIn(this.#seen, task)
  }

  async #look(): Promise<GroupState> {
    const { group } = this.request
    try {
      return await describeGroup(this.#parts.cluster, this.#parts.names.group(group))
    } catch (error) {
      if (hasCode(error, 'UNSUPPORTED')) throw error
      throw translated(error, `asking for the members of ${group}`, 'not-applied')
    }
  }

  #ownerIn(group: GroupState, task: TaskId): MemberIdentity | undefined {
    const topic = this.#parts.names.changelog(task.group, task.topic)
    const share = this.#shareOf(task)
    const handingOver = share?.isRevoked === true ? share.memberId : undefined
    const owner = ownerIn(group, this.#parts.member, { topic, partition: task.partition }, handingOver)
    if (share !== undefined && owner !== undefined) share.memberId = owner.memberId
    return owner
  }

  lost(lease: Lease): void {
    const share = this.#shareOf(lease.task)
    if (share?.owned?.lease.epoch !== lease.epoch || share.isRevoked) return
    this.#retake([share])
  }

  #shareOf({ group, partition, topic }: TaskId): Share | undefined {
    return this.#shares.get(partitionKey(this.#parts.names.changelog(group, topic), partition))
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  /** The task is taken again at once: opening its producer ends what is still under way, and the epoch grows. */
  giveBack(lease: Lease): void {
    const share = this.#shareOf(lease.task)
    if (share?.owned?.lease.epoch !== lease.epoch || !share.isTold) return
    share.isTold = false
    share.taking = this.#giveUp(share).then(() => this.#takeLater(share))
  }

  async #leave(): Promise<void> {
    const { clients } = this.#parts
    if (this.#consumer.isConnected()) this.#consumer.unsubscribe()
    const until = clients.platform.clock.monotonic() + this.#handoverMs + clients.operationMs
    while (this.#holdsSomething() && clients.platform.clock.monotonic() < until) {
      await sleep(clients.platform, kafkaLimits.memberPollMs)
    }
    this.#isEnding = true
    await this.#polling
    await clients.disconnect(this.#consumer)
  }

  #holdsSomething(): boolean {
    return this.#shares.size > 0 || (this.#consumer.isConnected() && this.#consumer.assignments().length > 0)
  }

  #config(): Config {
    const { leaseMs, group } = this.request
    const { groupProtocol, names } = this.#parts
    const classic = {
      'partition.assignment.strategy': 'cooperative-sticky',
      'session.timeout.ms': leaseMs,
      'heartbeat.interval.ms': Math.ceil(leaseMs / 3),
    }
    return {
      'group.id': names.group(group),
      'group.protocol': groupProtocol,
      'max.poll.interval.ms': this.#handoverMs,
      rebalance_cb: (error: ClientError, partitions: TopicPartition[]) =>
        this.#onRebalance(error, partitions),
      ...(groupProtocol === 'classic' ? classic : {}),
    }
  }

  async #createChangelogs(): Promise<void> {
    const { names, safety, topics } = this.#parts
    const settings = { ...changelogSettings, ...safety.topicSettings }
    for (const { topic, partitions } of this.request.topics) {
      const name = names.changelog(this.request.group, topic)
      const changelog = await topics.ensure(name, partitions, settings)
      await safety.checkTopic(await topics.grow(changelog, partitions))
    }
  }

  /** The broker's decisions come only while somebody consumes. A process that does not run does not get here. */
  async #poll(): Promise<void> {
    const { clock } = this.#parts.clients.platform
    for (let last = clock.monotonic(); !this.#isEnding; last = clock.monotonic()) {
      // What comes is nothing or an error, which the next poll gets over; all partitions are paused.
      await call((done) => this.#consumer.consume(1, done)).catch(() => undefined)
      await sleep(this.#parts.clients.platform, kafkaLimits.memberPollMs)
      if (clock.monotonic() - last > this.#handoverMs) this.#loseAll()
      if (this.#isForgotten && this.#left === undefined) await this.#rejoin().catch(() => undefined)
    }
  }

  /** As a new member. What does not work is tried again at the next poll. */
  async #rejoin(): Promise<void> {
    const shares = [...this.#shares.values()]
    for (const share of shares) share.isRevoked = true
    await this.#letGo(shares, 'lost')
    this.#shares.clear()
    if (this.#consumer.isConnected()) {
      const gone = this.#parts.clients.disconnect(this.#consumer)
      await this.#refuse()
      await gone
    }
    this.#consumer = await this.#subscribed()
    this.#isForgotten = false
  }

  get #handoverMs(): number {
    return this.request.leaseMs * kafkaLimits.handoverLeases
  }

  #onRebalance({ code }: ClientError, partitions: readonly TopicPartition[]): void {
    if (code === assignCode) this.#assign(partitions)
    else void this.#revoke(partitions)
  }

  #assign(partitions: readonly TopicPartition[]): void {
    const order = [...this.#topics.keys()]
    const places = partitions
      .map(({ topic, partition }) => ({ topic, partition, offset: atEnd }))
      .sort(
        (one, other) =>
          order.indexOf(one.topic) - order.indexOf(other.topic) || one.partition - other.partition,
      )
    if (!this.#rebalance(() => this.#consumer.incrementalAssign(places))) {
      void this.#refuse()
      return
    }
    if (places.length > 0) this.#consumer.pause(places)
    const shares = places.map(({ topic, partition }): Share => {
      const task = { group: this.request.group, topic: this.#topics.get(topic)!, partition }
      return {
        task,
        isRevoked: false,
        owned: undefined,
        isTold: false,
        taking: Promise.resolve(),
        deniedSince: undefined,
        memberId: undefined,
      }
    })
    for (const [index, { topic, partition }] of places.entries()) {
      this.#shares.set(partitionKey(topic, partition), shares[index]!)
    }
    this.#takeAll(shares)
  }

  /**
   * The client assigns nothing while it closes, but waits for an answer to what it offered before, and would do so for
   * ever, and the process with it. By the time of this answer it is closing for certain, and takes any change for giving
   * all back.
   */
  async #refuse(): Promise<void> {
    await sleep(this.#parts.clients.platform, kafkaLimits.memberPollMs)
    this.#rebalance(() => this.#consumer.incrementalUnassign([]))
  }

  /** Tasks that came together are told together; one that cannot be had yet does not hold up the others. */
  #takeAll(shares: readonly Share[]): void {
    const attempts = shares.map((share) => this.#tryToTake(share))
    const first = Promise.all(attempts).then(() =>
      this.#tell(shares.filter(({ owned }) => owned !== undefined)),
    )
    for (const [index, share] of shares.entries()) {
      share.taking = Promise.all([attempts[index], first]).then(async ([isTaken]) => {
        if (!isTaken) await this.#takeLater(share)
      })
    }
  }

  /** Until it works or the partition goes away. */
  async #takeLater(share: Share): Promise<void> {
    while (!share.isRevoked) {
      await sleep(this.#parts.clients.platform, kafkaLimits.ownerRetryMs)
      if (!(await this.#mayTake(share))) continue
      if (await this.#tryToTake(share)) return this.#tell([share])
    }
  }

  /** Whether the coordinator counts the partition as ours; if it does not for longer than a handover takes, we are forgotten. */
  async #mayTake(share: Share): Promise<boolean> {
    const { clock } = this.#parts.clients.platform
    const isCounted = await this.isCounted(share.task).catch(() => undefined)
    if (isCounted === true) share.deniedSince = undefined
    else if (isCounted === false) {
      share.deniedSince ??= clock.monotonic()
      if (clock.monotonic() - share.deniedSince > this.#handoverMs) this.#isForgotten = true
    }
    return isCounted === true
  }

  async #tryToTake(share: Share): Promise<boolean> {
    if (share.isRevoked) return true
    try {
      share.owned = await OwnedTask.acquire(this.#parts.view(share.task), this, this.#parts)
      this.#parts.tasks.set(taskName(share.task), share.owned)
      return true
    } catch {
      // The broker is away, or another owner is not done yet. The next attempt asks again.
      return false
    }
  }

  /** A partition that was revoked meanwhile is given up by its revocation, untold. */
  #tell(shares: readonly Share[]): void {
    const kept = shares.filter(({ isRevoked }) => !isRevoked)
    for (const share of kept) share.isTold = true
    if (kept.length > 0) this.#listener.assigned(leasesOf(kept))
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    const consumer = this.#consumer
    const reason = consumer.assignmentLost() ? 'lost' : 'handover'
    const revoked = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    const shares = [...this.#shares].flatMap(([place, share]) => (revoked.has(place) ? [share] : []))
    for (const share of shares) share.isRevoked = true
    if (reason === 'handover') await Promise.all(shares.map(({ taking }) => taking))
    await this.#letGo(shares, reason)
    // A member that joined anew meanwhile may have been given the same ones.
    for (const [place, share] of this.#shares) if (shares.includes(share)) this.#shares.delete(place)
    this.#rebalance(() => consumer.incrementalUnassign(partitions))
  }

  async #letGo(shares: readonly Share[], reason: 'handover' | 'lost'): Promise<void> {
    const taking = shares.map((share) => share.taking)
    const told = shares.filter(({ isTold }) => isTold)
    for (const share of told) share.isTold = false
    // A listener that fails has finished as well: nothing it still does can be committed.
    if (told.length > 0) await this.#listener.revoked(leasesOf(told), reason).catch(() => undefined)
    await Promise.all(taking)
    await Promise.all(shares.map((share) => this.#giveUp(share)))
  }

  /**
   * This process was not run for longer than the group waits for a member. The broker's word comes later; until then
   * nothing may be done. Should the partitions still be ours, they are taken again, with the next epoch.
   */
  #loseAll(): void {
    this.#retake([...this.#shares.values()].filter(({ isRevoked }) => !isRevoked))
  }

  #retake(shares: readonly Share[]): void {
    const gone = this.#letGo(shares, 'lost')
    for (const share of shares) {
      share.taking = gone.then(() => this.#takeLater(share))
    }
  }

  async #giveUp(share: Share): Promise<void> {
    const { owned } = share
    share.owned = undefined
    if (owned === undefined) return
    await owned.release()
    const name = taskName(share.task)
    if (this.#parts.tasks.get(name) === owned) this.#parts.tasks.delete(name)
  }

  /** A callback may be queued from before the consumer closed; then there is nothing left to change. */
  #rebalance(change: () => unknown): boolean {
    try {
      change()
      return true
    } catch (error) {
      if (clientCode(error) === wrongState) return false
      throw translated(error, `rebalancing group ${this.request.group}`, 'not-applied')
    }
  }
}

const changelogSettings = {
  'cleanup.policy': 'compact',
  'max.message.bytes': String(kafkaLimits.recordBytesMax),
  'delete.retention.ms': String(kafkaLimits.tombstoneMs),
}
