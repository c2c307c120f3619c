import type { Platform, Timer } from '../../platform/platform.ts'
import type { BrokerAccess } from './broker-access.ts'
import { BrokerConnection } from './broker-connection.ts'
import { type FetchedPart, fetchFrom, plainId } from './fetch-question.ts'
import type { FetchedMemory } from './fetched-memory.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { Place } from './known-brokers.ts'
import type { FetchingConsumer, PartitionEnds, ReadPlan } from './read-consumer.ts'
import type { ReadCursor } from './read-cursor.ts'
import { decodeBatches } from './record-batch.ts'
import type { TopicTable } from './topic-table.ts'

export interface DirectParts {
  readonly platform: Platform
  readonly topics: TopicTable
  readonly access: BrokerAccess
}

const placeOf = (topic: string, partition: number) => `${topic}/${partition}`
const outOfRangeCode = 1

/** A cursor that waits for the answer to one question. */
interface Want {
  readonly cursor: ReadCursor
  readonly topicId: string
  /** Where it stood when it asked: an answer to one that was moved since is dropped. */
  readonly from: number
  readonly moves: number
  readonly answer: (ends: PartitionEnds | undefined) => void
  readonly fail: (error: unknown) => void
  /** Nobody waits for it any more. */
  isLate: boolean
}

/** One broker: a question at a time, for all that wait for it by then. */
class Lane {
  readonly place: Place
  wants: Want[] = []
  connection: Promise<BrokerConnection> | undefined
  isRunning = false

  constructor(place: Place) {
    this.place = place
  }
}

/**
 * Fetches in Kafka's own protocol, for cursors that somebody waits for and at no other time. An answer of the client is an
 * object with a Buffer for each header, which costs several times what reading the broker's bytes does; and an answer of
 * the broker tells where the partition ends, and holds records of the topic with that id alone.
 */
export class DirectConsumer implements FetchingConsumer {
  readonly tellsEnds = true
  readonly #parts: DirectParts
  readonly #plan: ReadPlan
  readonly #memory: FetchedMemory
  readonly #cursors = new Map<string, ReadCursor>()
  readonly #lanes = new Map<string, Lane>()
  #resting: Timer | undefined
  #isClosed = false

  constructor(parts: DirectParts, plan: ReadPlan, memory: FetchedMemory) {
    this.#parts = parts
    this.#plan = plan
    this.#memory = memory
  }

  async meet(topic: string): Promise<void> {
    await this.#parts.topics.find(topic)
  }

  cursor(topic: string, partition: number): ReadCursor | undefined {
    return this.#cursors.get(placeOf(topic, partition))
  }

  add(cursor: ReadCursor): void {
    this.#cursors.set(placeOf(cursor.topic, cursor.partition), cursor)
    this.#memory.add(cursor)
  }

  /** Asks once. `undefined`: no answer within `waitMs`, or one that is an error. */
  async fetch(cursor: ReadCursor, waitMs: number): Promise<PartitionEnds | undefined> {
    const { platform, topics } = this.#parts
    const { topic, partition } = cursor
    const id = topics.known(topic)?.id
    const leader = topics.leader(topic, partition)
    if (this.#isClosed || id === undefined || leader === undefined) {
      await this.#lookAgain(topic, waitMs)
      return undefined
    }
    const lane = this.#lane(leader)
    return await new Promise((resolve, reject) => {
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          timer.cancel()
          settle(value)
        }
      const want: Want = {
        cursor,
        topicId: id,
        from: cursor.fetchedTo,
        moves: cursor.moves,
        answer: settled(resolve),
        fail: settled(reject),
        isLate: false,
      }
      const timer = platform.timers.after(waitMs, () => {
        want.isLate = true
        // If it was not sent yet, it must not go along with the cursor's next one.
        lane.wants = lane.wants.filter((other) => other !== want)
        resolve(undefined)
      })
      lane.wants.push(want)
      if (lane.isRunning) return
      lane.isRunning = true
      // A turn first: whoever asks in it as well goes along.
      platform.timers.soon(() => void this.#run(lane))
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#resting?.cancel()
    const lanes = [...this.#lanes.values()]
    await Promise.all(lanes.map((lane) => this.#drop(lane)))
  }

  #lane(place: Place): Lane {
    const name = `${place.host}:${place.port}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const lane = new Lane(place)
    this.#lanes.set(name, lane)
    return lane
  }

  async #run(lane: Lane): Promise<void> {
    while (lane.wants.length > 0 && !this.#isClosed) await this.#ask(lane, lane.wants.splice(0))
    lane.isRunning = false
    for (const { answer } of lane.wants.splice(0)) answer(undefined)
    this.#restLater()
  }

  async #ask(lane: Lane, wants: readonly Want[]): Promise<void> {
    const askedAt = this.#parts.platform.clock.monotonic()
    try {
      const connection = await this.#connected(lane)
      const places = wants.map(({ cursor, from, topicId }) => ({
        topicId,
        partition: cursor.partition,
        offset: from,
      }))
      const parts = await fetchFrom((request) => connection.ask(request), places, {
        waitMs: 0,
        bytesMax: kafkaLimits.directAnswerBytes,
        partitionBytesMax: this.#plan.fetchBytes,
      })
      const left = wants.filter((want, index) => {
        const part = parts.find((candidate) => isOf(candidate, want))
        if (index > 0 && part !== undefined && isSkipped(part, want)) return true
        this.#take(want, part, askedAt, connection)
        return false
      })
      lane.wants.unshift(...left.filter((want) => !want.isLate))
    } catch {
      // Whoever waits finds out what is wrong by asking for the partition's end.
      await this.#drop(lane)
      for (const want of wants) void this.#refuse(want)
    }
  }

  #take(want: Want, part: FetchedPart | undefined, fetchedAt: number, connection: object): void {
    const { answer, cursor, from, moves, topicId } = want
    if (part === undefined || part.error !== 0) {
      if (part?.error === outOfRangeCode) answer(undefined)
      else void this.#refuse(want)
      return
    }
    const { aborted, batches, earliest, highest, stable } = part
    if (cursor.fetchedTo !== from || cursor.moves !== moves) {
      answer(undefined)
      return
    }
    try {
      const bounds = { recordsMax: this.#plan.recordsHeld, bytesMax: this.#memory.room }
      const { records, next } = decodeBatches(batches, from, aborted, bounds)
      cursor.topicId = topicId
      cursor.fetchedAt = fetchedAt
      for (const record of records) cursor.push(record)
      cursor.pass(next)
      answer({ earliest, highest, stable, connection })
    } catch (error) {
      want.fail(error)
    }
  }

  /** Another broker leads by now, or there is another topic: who asks next shall know. */
  async #refuse({ answer, cursor }: Want): Promise<void> {
    cursor.confirmedBy = undefined
    if (!this.#isClosed) await this.#lookAgain(cursor.topic, kafkaLimits.firstAnswerMs)
    answer(undefined)
  }

  async #lookAgain(topic: string, waitMs: number): Promise<void> {
    const { platform, topics } = this.#parts
    const look = topics.confirm(topic, platform.clock.monotonic()).catch(() => undefined)
    await new Promise<void>((resolve) => {
      const timer = platform.timers.after(waitMs, resolve)
      void look.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  async #connected(lane: Lane): Promise<BrokerConnection> {
    const open = await lane.connection?.catch(() => undefined)
    if (open !== undefined && !open.hasFailed) return open
    const { access, platform } = this.#parts
    lane.connection = BrokerConnection.open(platform, lane.place, access, kafkaLimits.silentBrokerMs)
    return await lane.connection
  }

  async #drop(lane: Lane): Promise<void> {
    const connection = await lane.connection?.catch(() => undefined)
    lane.connection = undefined
    connection?.close()
  }

  /** What nobody asks for any more is given up after a while. */
  #restLater(): void {
    this.#resting?.cancel()
    if (this.#isClosed) return
    const { clock, timers } = this.#parts.platform
    this.#resting = timers.after(kafkaLimits.bufferIdleMs, () => {
      const since = clock.monotonic() - kafkaLimits.bufferIdleMs
      let isHolding = false
      for (const cursor of this.#cursors.values()) {
        if (!cursor.isBusy && cursor.usedAt <= since) cursor.drop()
        if (!cursor.isEmpty) isHolding = true
      }
      if (isHolding) this.#restLater()
    })
  }
}

/** An answer that is full has nothing of the last places. The first gets its next batch, however large that is. */
function isSkipped({ batches, error, stable }: FetchedPart, { from }: Want): boolean {
  return error === 0 && batches.length === 0 && from < stable
}

function isOf(part: FetchedPart, { cursor, topicId }: Want): boolean {
  return part.partition === cursor.partition && part.topicId === plainId(topicId)
}
