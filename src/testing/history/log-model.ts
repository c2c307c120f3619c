import type { Operation } from './operation.ts'
import type { PolledRecord, Sent } from './record.ts'

/** A value at two places is wrong already; thousands more would only make a bad history slow to judge. */
const placesKeptMax = 64

/** One attempt to write a value. A retry is another one. */
export interface Send {
  readonly operation: Operation
  readonly value: Value
  /** What an `ok` answered. */
  place: Place | undefined
  duplicate: boolean
}

export interface Place {
  readonly partition: Partition
  readonly off: number
}

export interface Clash {
  readonly first: Value
  readonly second: Value
  readonly operation: Operation
}

/** One event of the run, by the unique value in its payload. */
export class Value {
  readonly topic: Topic
  readonly val: string
  id: string | null = null
  key: string | null = null
  crc: number | undefined
  n = 1
  readonly sends: Send[] = []
  /** Where replies, polls and handlers say it is; in a right log, one place. */
  readonly places: Place[] = []
  /** First poll that brought it, and first operation of any kind that showed it. */
  polledBy: Operation | undefined
  seenBy: Operation | undefined
  /** Other values that were sent under the same id; kept by the first of them. */
  sameId: Value[] | undefined

  constructor(topic: Topic, val: string) {
    this.topic = topic
    this.val = val
  }

  /** True if every attempt to write it was definitely refused. */
  get refused(): boolean {
    return this.sends.length > 0 && this.sends.every(({ operation }) => operation.outcome === 'fail')
  }

  get acknowledged(): boolean {
    return this.sends.some(({ operation }) => operation.outcome === 'ok')
  }
}

/** What is known of one partition's log, from every reply and every reader (faults.md 3.2). */
export class Partition {
  readonly topic: Topic
  readonly p: number
  readonly at = new Map<number, Value>()
  /** Offsets that were shown with more than one value. */
  readonly clashes = new Map<number, Clash>()
  /** Highest offset that anyone read, and that anyone read or was told of. -1: none. */
  seenMax = -1
  knownMax = -1
  /** Declared retention: what lies below is rightly gone. */
  earliest = 0
  /** When a reader was first told LOG_REGRESSED (D6). */
  regressedSeq = Infinity
  #sorted: Float64Array | undefined

  constructor(topic: Topic, p: number) {
    this.topic = topic
    this.p = p
  }

  get name(): string {
    return `${this.topic.name}/${this.p}`
  }

  /** Known offsets in order: the dense indexes of faults.md 3.2. Only asked for when the history has ended. */
  get offsets(): Float64Array {
    if (this.#sorted?.length !== this.at.size) this.#sorted = Float64Array.from(this.at.keys()).sort()
    return this.#sorted
  }

  /** Index of the first known offset at or above `off`. */
  indexFrom(off: number): number {
    const { offsets } = this
    let low = 0
    let high = offsets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (offsets[middle]! < off) low = middle + 1
      else high = middle
    }
    return low
  }

  /** First known offset strictly between two others, if there is one. */
  knownBetween(after: number, before: number): number | undefined {
    const off = this.offsets[this.indexFrom(after + 1)]
    return off !== undefined && off < before ? off : undefined
  }
}

export class Topic {
  readonly name: string
  readonly values = new Map<string, Value>()
  readonly partitions = new Map<number, Partition>()
  /** First value of each id that is not its own value's text; the others are found by `values`. */
  readonly #byId = new Map<string, Value>()

  constructor(name: string) {
    this.name = name
  }

  partition(p: number): Partition {
    let partition = this.partitions.get(p)
    if (partition === undefined) {
      partition = new Partition(this, p)
      this.partitions.set(p, partition)
    }
    return partition
  }

  value(val: string): Value {
    let value = this.values.get(val)
    if (value === undefined) {
      value = new Value(this, val)
      this.values.set(val, value)
    }
    return value
  }

  withId(id: string): Value | undefined {
    const first = this.#byId.get(id)
    if (first !== undefined) return first
    const value = this.values.get(id)
    return value?.id === id && value.sends.length > 0 ? value : undefined
  }

  /** Remembers a value that was never sent before: the first of its id, or another one with it. */
  rememberId(value: Value): void {
    const { id } = value
    if (id === null) return
    const first = this.withId(id)
    if (first !== undefined) {
      first.sameId ??= []
      first.sameId.push(value)
    } else if (id !== value.val) this.#byId.set(id, value)
  }
}

/** Everything the history says about logs, of all topics. */
export class LogModel {
  readonly topics = new Map<string, Topic>()
  /** Operations that send or read, in order of their start: the transactions of the graph. */
  readonly operations: Operation[] = []
  /** Acknowledged values that nobody has read so far. */
  unseen = 0

  topic(name: string): Topic {
    let topic = this.topics.get(name)
    if (topic === undefined) {
      topic = new Topic(name)
      this.topics.set(name, topic)
    }
    return topic
  }

  *partitions(): Generator<Partition> {
    for (const topic of this.topics.values()) {
      for (const p of [...topic.partitions.keys()].sort((a, b) => a - b)) yield topic.partitions.get(p)!
    }
  }

  *values(): Generator<Value> {
    for (const topic of this.topics.values()) yield* topic.values.values()
  }

  /** An attempt to write. `undefined` if the value was sent before under another id or key: no retry does that. */
  send(operation: Operation, sent: Sent): Send | undefined {
    const topic = this.topic(sent.topic)
    const value = topic.value(sent.val)
    if (value.sends.length > 0 && (value.id !== sent.id || value.key !== sent.key)) return undefined
    if (value.sends.length === 0) {
      value.id = sent.id
      value.key = sent.key
      value.crc = sent.crc
      value.n = sent.n ?? 1
      topic.rememberId(value)
    }
    const send: Send = { operation, value, place: undefined, duplicate: false }
    value.sends.push(send)
    return send
  }

  acknowledged(send: Send, p: number, off: number, duplicate: boolean): void {
    const partition = send.value.topic.partition(p)
    // One attempt counts; a retry's answer would count the value again.
    if (send.value.seenBy === undefined && send.value.places.length === 0) this.unseen++
    send.duplicate = duplicate
    send.place = this.#place(send.value, partition, off, send.operation)
  }

  /** A reader got a record. Counts whatever became of the read (Jepsen: readers must only ever see what is safe). */
  polled(topicName: string, p: number, record: PolledRecord, operation: Operation): Value {
    const topic = this.topic(topicName)
    const partition = topic.partition(p)
    const value = topic.value(record[2])
    this.#place(value, partition, record[0], operation)
    partition.seenMax = Math.max(partition.seenMax, record[0])
    value.polledBy ??= operation
    this.#seen(value, operation)
    return value
  }

  /** A handler was given an event. Only the id tells which; undefined: no event with that id was ever sent. */
  handled(partition: Partition, off: number, id: string | null | undefined, operation: Operation): boolean {
    partition.seenMax = Math.max(partition.seenMax, off)
    const value = id == null ? partition.at.get(off) : partition.topic.withId(id)
    if (value === undefined) return id == null
    this.#place(value, partition, off, operation)
    this.#seen(value, operation)
    return true
  }

  #seen(value: Value, operation: Operation): void {
    if (value.seenBy !== undefined) return
    value.seenBy = operation
    if (value.sends.some(({ place }) => place !== undefined)) this.unseen--
  }

  #place(value: Value, partition: Partition, off: number, operation: Operation): Place {
    partition.knownMax = Math.max(partition.knownMax, off)
    const held = partition.at.get(off)
    if (held === undefined) partition.at.set(off, value)
    else if (held !== value && !partition.clashes.has(off))
      partition.clashes.set(off, { first: held, second: value, operation })
    const known = value.places.find((place) => place.off === off && place.partition === partition)
    if (known !== undefined) return known
    const place: Place = { partition, off }
    if (value.places.length < placesKeptMax) value.places.push(place)
    return place
  }
}
