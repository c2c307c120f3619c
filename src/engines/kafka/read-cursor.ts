import { type LogRecord, memoryOf, sizeOf } from './log-record.ts'

/**
 * One place of reading in one partition: what was fetched from there and not yet asked for.
 *
 * IDLE -> BUSY by `PartitionReader` for one read at a time. A cursor is ATTACHED while its consumer fetches for it;
 * one with a full buffer or that nobody asks is detached, and later goes on where it was.
 */
export class ReadCursor {
  readonly topic: string
  readonly partition: number
  isBusy = false
  isAttached = false
  wantsRestart = false
  usedAt = 0
  /** When the last of what it holds was fetched, on the monotonic clock. */
  fetchedAt = 0
  /** Which topic the fetch named, of those that have this name one after another; `undefined`: it named none. */
  topicId: string | undefined
  /** How often it was moved. */
  moves = 0
  /** By which connection its leader was asked for the end as well. */
  confirmedBy: object | undefined
  /** The partition's bounds as last asked for: its first offset and its stable end. */
  earliest = Number.POSITIVE_INFINITY
  end = 0
  #records: LogRecord[] = []
  #taken = 0
  #bytes = 0
  #fetchedTo: number
  #position: number
  #onNews: (() => void) | undefined

  constructor(topic: string, partition: number, offset: number) {
    this.topic = topic
    this.partition = partition
    this.#fetchedTo = offset
    this.#position = offset
  }

  get isEmpty(): boolean {
    return this.#taken === this.#records.length
  }

  /** Whether there was something to read at this offset when the bounds were asked for. */
  holds(offset: number): boolean {
    return offset >= this.earliest && offset < this.end
  }

  get records(): number {
    return this.#records.length - this.#taken
  }

  /** Of this process's memory. */
  get bytes(): number {
    return this.#bytes
  }

  /** What fetching has passed: events below are in the buffer or were taken. */
  get fetchedTo(): number {
    return this.#fetchedTo
  }

  /**
   * Where the next read goes on, as the last one was told. What was fetched since may begin behind holes, such as the
   * marker of a transaction: it belongs to who goes on here all the same.
   */
  get position(): number {
    return this.#position
  }

  /** Ends a read, which is told where the next one goes on: behind the holes that were passed by now. */
  settle(): number {
    this.#position = this.isEmpty ? this.#fetchedTo : this.#records[this.#taken]!.offset
    return this.#position
  }

  moveTo(offset: number): void {
    this.moves += 1
    this.#records = []
    this.#taken = 0
    this.#bytes = 0
    this.#fetchedTo = offset
    this.#position = offset
    this.wantsRestart = this.isAttached
  }

  /** Gives up what it holds; who goes on here fetches it again. */
  drop(): void {
    if (!this.isEmpty) this.moveTo(this.position)
  }

  push(record: LogRecord): void {
    if (record.offset < this.#fetchedTo) return
    this.#records.push(record)
    this.#bytes += memoryOf(record)
    this.#fetchedTo = record.offset + 1
    this.#tell()
  }

  /** There is nothing more below `offset`: aborted records and markers count as read. */
  pass(offset: number): void {
    if (offset <= this.#fetchedTo) return
    this.#fetchedTo = offset
    this.#tell()
  }

  /** At least one if there is one; from then on within both limits. `bytes`: of keys and values, and some for the rest. */
  take(
    recordsMax: number,
    bytesMax: number,
  ): { readonly records: readonly LogRecord[]; readonly bytes: number } {
    const first = this.#taken
    let bytes = 0
    while (this.#taken < this.#records.length && this.#taken - first < recordsMax) {
      const record = this.#records[this.#taken]!
      const size = sizeOf(record)
      if (this.#taken > first && bytes + size > bytesMax) break
      bytes += size
      this.#bytes -= memoryOf(record)
      this.#taken += 1
    }
    const records = this.#records.slice(first, this.#taken)
    if (this.isEmpty) {
      this.#records = []
      this.#taken = 0
    }
    // Whatever becomes of this read: who asks for these again does not go on here.
    this.settle()
    return { records, bytes }
  }

  /** Calls back once, at the next message or passed offset. */
  whenNews(listener: (() => void) | undefined): void {
    this.#onNews = listener
  }

  #tell(): void {
    const listener = this.#onNews
    this.#onNews = undefined
    listener?.()
  }
}
