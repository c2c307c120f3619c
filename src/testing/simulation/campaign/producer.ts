import type { Receipt } from '../../../bus.ts'
import { isSemelError } from '../../../errors.ts'
import type { SeededRandom } from '../../../platform/seeded-random.ts'
import { sleep } from '../../../platform/wait.ts'
import type { MicroCall, Placed, Sent } from '../../history/record.ts'
import type { HistoryClient } from '../../history/recorder.ts'
import { crcOf } from '../recorded-storage.ts'
import { type Member, type Run, startMember } from './run.ts'
import { type InputData, ownId } from './topics.ts'

const eventsPerCallMax = 4
const thinkMsMax = 40
const retryMsMax = 300
const sendsMax = 12
const waitForRoomMs = 5
const sharedIds = 2

interface OrderedEvent {
  /** Absent: the bus makes one, and nobody can send the event again. */
  readonly id: string | undefined
  readonly data: InputData
}

/** One publish call that a producer wants to see through. */
interface Order {
  readonly events: readonly OrderedEvent[]
  sends: number
}

/**
 * A publisher with a memory that outlives its process, as an outbox has: what a killed process had not seen
 * acknowledged, its successor sends again under the same ids (U2).
 */
export class Producer {
  readonly #run: Run
  readonly #role: string
  readonly #random: SeededRandom
  readonly #waiting: Order[] = []
  readonly #open = new Set<Order>()
  /** Ids that were used, for publishing one of them again. */
  readonly #used: OrderedEvent[] = []
  #made = 0
  #values = 0

  constructor(run: Run, number: number) {
    this.#run = run
    this.#role = `producer${number}`
    this.#random = run.cluster.scheduler.stream(this.#role)
  }

  get isDone(): boolean {
    return this.#made >= this.#run.knobs.calls && this.#waiting.length === 0 && this.#open.size === 0
  }

  /** Starts the next process of this producer. */
  async start(): Promise<Member> {
    const member = await startMember(this.#run, this.#role)
    const orphans = [...this.#open].filter(({ events }) => events.every(({ id }) => id !== undefined))
    this.#open.clear()
    this.#waiting.unshift(...orphans)
    void this.#work(member)
    return member
  }

  async #work(member: Member): Promise<void> {
    const client = member.process.recorder.client('publisher')
    while (!member.stopping && !this.isDone) {
      await sleep(member.process.platform, this.#random.fraction() * thinkMsMax)
      while (this.#open.size >= this.#run.knobs.pipeline) await sleep(member.process.platform, waitForRoomMs)
      const order = this.#waiting.shift() ?? this.#next()
      if (order === undefined || member.stopping) continue
      this.#open.add(order)
      void this.#seeThrough(member, client, order)
    }
  }

  #next(): Order | undefined {
    if (this.#made >= this.#run.knobs.calls) return undefined
    this.#made++
    const count = this.#random.fraction() < 0.6 ? 1 : 1 + this.#random.below(eventsPerCallMax)
    const events = Array.from({ length: count }, () => this.#event())
    // What the bus makes an id for cannot be told apart when it is sent again; it is sent alone, and once.
    const withoutId = events.find(({ id }) => id === undefined)
    return { events: withoutId === undefined ? events : [withoutId], sends: 0 }
  }

  #event(): OrderedEvent {
    const chance = this.#random.fraction()
    const used = this.#used[this.#random.below(Math.max(1, this.#used.length))]
    if (chance < 0.05 && used !== undefined) return used
    const val = `${this.#role}-${++this.#values}`
    const data = {
      key: `key${this.#random.below(this.#run.knobs.keys)}`,
      val,
      n: 1 + this.#random.below(9),
      poison: this.#random.fraction() < this.#run.knobs.poisonShare,
    }
    if (chance < 0.1) return { id: undefined, data }
    // Few ids for many contents: whoever comes second gets ID_CONFLICT (N2).
    if (chance < 0.14) return { id: `shared-${this.#random.below(sharedIds)}`, data }
    const event = { id: ownId(val), data }
    this.#used.push(event)
    return event
  }

  /** Sends until the outcome is known; what was refused for good, or cannot be sent again, is dropped. */
  async #seeThrough(member: Member, client: HistoryClient, order: Order): Promise<void> {
    while (!member.stopping) {
      order.sends++
      const error = await this.#send(member, client, order.events)
      if (error === undefined || !this.#sendsAgain(order, error)) {
        this.#open.delete(order)
        return
      }
      await sleep(member.process.platform, this.#random.fraction() * retryMsMax)
    }
  }

  #sendsAgain({ events, sends }: Order, error: unknown): boolean {
    if (sends >= sendsMax || !isSemelError(error)) return false
    if (error.outcome === 'not-applied') return error.retryable && this.#random.fraction() < 0.5
    return events.every(({ id }) => id !== undefined)
  }

  async #send({ bus }: Member, client: HistoryClient, events: readonly OrderedEvent[]): Promise<unknown> {
    const { input } = this.#run.topics
    const sent = events.map(({ id, data }): Sent => {
      return { topic: input.name, key: data.key, id: id ?? null, val: data.val, crc: crcOf(data), n: data.n }
    })
    const { publishDeadlineMs: deadlineMs } = this.#run.knobs
    const one = sent.length === 1 ? client.start('publish', { ...sent[0]!, deadlineMs }) : undefined
    const micro = sent.map((each): MicroCall => ({ f: 'send', ...each }))
    const many = sent.length === 1 ? undefined : client.start('publishMany', { micro, deadlineMs })
    const operation = (one ?? many)!
    try {
      const receipts = await bus.publishMany(events.map(({ id, data }) => input.event(data, { id })))
      const places = receipts.map(placeOf)
      one?.ok(places[0])
      many?.ok({ micro: places })
      return undefined
    } catch (error) {
      const code = isSemelError(error) ? error.code : 'unknown'
      if (isSemelError(error) && error.outcome === 'not-applied') operation.fail(code)
      else operation.info(code)
      return error
    }
  }
}

function placeOf({ partition, offset, duplicate }: Receipt): Placed {
  return { p: partition, off: offset, dup: duplicate }
}
