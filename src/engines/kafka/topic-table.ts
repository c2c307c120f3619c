import { isSemelError, SemelError } from '../../errors.ts'
import { sleep } from '../../platform/wait.ts'
import { blockingCall, type Clients } from './client.ts'
import type { Admin, NewTopic } from './client-types.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { Place } from './known-brokers.ts'
import type { SeenTopic, TopicQuestion } from './topic-question.ts'

export interface KafkaTopic {
  readonly name: string
  readonly partitions: number
  /** Made by Kafka with the topic: another one under the same name is another topic. */
  readonly id: string
  /** Copies of the partition that has the fewest. */
  readonly replicas: number
}

const topicExists = 36
const otherCount = 37
const tooFewBrokers = 38
const describePollMs = 10
const fencedBrokerPollMs = 100

interface Look {
  /** On the monotonic clock. */
  readonly began: number
  readonly found: Promise<KafkaTopic | undefined>
  readonly ended: Promise<void>
  hasFailed: boolean
}

/** Kafka's topics as brokers tell them; what was seen once is remembered. Names are Kafka's. */
export class TopicTable {
  readonly #clients: Clients
  readonly #admin: Admin
  readonly #question: TopicQuestion
  readonly #known = new Map<string, KafkaTopic>()
  /** Who leads each partition, as the last look told. */
  readonly #leaders = new Map<string, ReadonlyMap<number, Place>>()
  readonly #lookedAt = new Map<string, number>()
  /** Looks in the order they began, and the youngest that ended for each topic: a late answer of an older one is no news. */
  #looks = 0
  readonly #youngest = new Map<string, number>()
  /** Of each topic, the last look that was begun and the one that waits for its end. */
  readonly #lastLook = new Map<string, Look>()
  readonly #nextLook = new Map<string, Promise<KafkaTopic | undefined>>()

  /** `question`: how brokers are asked about a topic. Topics are made with the client. */
  constructor(clients: Clients, admin: Admin, question: TopicQuestion) {
    this.#clients = clients
    this.#admin = admin
    this.#question = question
  }

  known(name: string): KafkaTopic | undefined {
    return this.#known.get(name)
  }

  leader(name: string, partition: number): Place | undefined {
    return this.#leaders.get(name)?.get(partition)
  }

  async find(name: string): Promise<KafkaTopic | undefined> {
    return this.#known.get(name) ?? (await this.look(name))
  }

  /**
   * Looks again if what is remembered is old; nobody waits for that, as it takes long while a broker is silent. The
   * next one who asks sees it.
   */
  refresh(name: string): void {
    const now = this.#clients.platform.clock.monotonic()
    if (now - (this.#lookedAt.get(name) ?? 0) < kafkaLimits.topicSeenMs) return
    this.#lookedAt.set(name, now)
    // What went wrong with this look tells nothing about the topic.
    void this.confirm(name, now).catch(() => undefined)
  }

  /**
   * What the brokers said after `since`, on the monotonic clock. Those who need a newer look than the one under way share
   * the next one.
   */
  async confirm(name: string, since: number): Promise<KafkaTopic | undefined> {
    const last = this.#lastLook.get(name)
    if (last !== undefined && last.began > since && !last.hasFailed) return await last.found
    let next = this.#nextLook.get(name)
    if (next === undefined) {
      next = (last?.ended ?? Promise.resolve()).then(() => this.#beginLook(name).found)
      this.#nextLook.set(name, next)
    }
    return await next
  }

  #beginLook(name: string): Look {
    this.#nextLook.delete(name)
    const began = this.#clients.platform.clock.monotonic()
    const found = this.look(name)
    const note = (hasFailed: boolean) => () => {
      look.hasFailed = hasFailed
    }
    const look: Look = { began, found, ended: found.then(note(false), note(true)), hasFailed: false }
    this.#lastLook.set(name, look)
    return look
  }

  /**
   * Asks the brokers, whatever is remembered. One that is silent is not waited for: the next question may go to another.
   */
  async look(name: string): Promise<KafkaTopic | undefined> {
    const { platform, operationMs } = this.#clients
    const until = platform.clock.monotonic() + operationMs
    for (let patienceMs: number = kafkaLimits.firstAnswerMs; ; patienceMs *= 2) {
      try {
        return await this.#ask(name, Math.min(patienceMs, kafkaLimits.silentBrokerMs))
      } catch (error) {
        const mayPass = isSemelError(error) && error.retryable
        if (!mayPass || platform.clock.monotonic() > until) throw error
      }
      await sleep(platform, kafkaLimits.reachPollMs)
    }
  }

  async #ask(name: string, patienceMs: number): Promise<KafkaTopic | undefined> {
    const look = ++this.#looks
    let found: SeenTopic | undefined
    try {
      found = await this.#question(name, patienceMs)
    } catch (error) {
      throw translated(error, `asking for topic ${name}`, 'not-applied')
    }
    const isNews = look > (this.#youngest.get(name) ?? 0)
    if (isNews) this.#youngest.set(name, look)
    if (found === undefined) {
      if (isNews) this.#known.delete(name)
      return undefined
    }
    const { id, leaders, partitions, replicas } = found
    const topic = { name, partitions, id, replicas }
    if (isNews) this.#leaders.set(name, leaders)
    if (isNews && leaders.size === partitions) this.#known.set(name, topic)
    return topic
  }

  /** A topic that is there with leaders: made with these settings if it was missing. */
  async ensure(
    name: string,
    partitions: number,
    config: Readonly<Record<string, string>>,
  ): Promise<KafkaTopic> {
    const found = await this.find(name)
    if (found !== undefined) return found
    await this.#create({ topic: name, num_partitions: partitions, replication_factor: -1, config })
    return await this.#whenReady(name, 1)
  }

  /** A broker that has just started, or was slow for a moment, is fenced: until it is back there may be too few. */
  async #create(wanted: NewTopic): Promise<void> {
    const { platform, operationMs } = this.#clients
    const until = platform.clock.monotonic() + operationMs
    await this.#clients.meetController(this.#admin)
    for (;;) {
      try {
        await blockingCall<void>((done) => this.#admin.createTopic(wanted, operationMs, done))
        return
      } catch (error) {
        const code = clientCode(error)
        if (code === topicExists) return
        if (code !== tooFewBrokers || platform.clock.monotonic() > until)
          throw translated(error, `creating topic ${wanted.topic}`, 'unknown')
      }
      await sleep(platform, fencedBrokerPollMs)
    }
  }

  /** Adds partitions up to `partitions`; never removes any. */
  async grow(topic: KafkaTopic, partitions: number): Promise<KafkaTopic> {
    if (topic.partitions >= partitions) return topic
    const { operationMs } = this.#clients
    await this.#clients.meetController(this.#admin)
    try {
      await blockingCall<void>((done) =>
        this.#admin.createPartitions(topic.name, partitions, operationMs, done),
      )
    } catch (error) {
      if (clientCode(error) !== otherCount)
        throw translated(error, `adding partitions to ${topic.name}`, 'unknown')
    }
    return await this.#whenReady(topic.name, partitions)
  }

  /** The controller answers before the brokers know. */
  async #whenReady(name: string, partitions: number): Promise<KafkaTopic> {
    const { platform, operationMs } = this.#clients
    const until = platform.clock.monotonic() + operationMs
    while (platform.clock.monotonic() < until) {
      await this.look(name)
      const ready = this.#known.get(name)
      if (ready !== undefined && ready.partitions >= partitions) return ready
      await sleep(platform, describePollMs)
    }
    throw new SemelError('ENGINE_UNAVAILABLE', `topic ${name} has no leaders yet`, { retryable: true })
  }
}
