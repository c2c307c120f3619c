import type { StateEntry, TaskId } from '../../engine/engine.ts'
import { restoreChannel } from '../../engine/restore-channel.ts'
import { hasCode } from '../../errors.ts'
import type { Platform } from '../../platform/platform.ts'
import { decodeChangelog, type StateEntryChange, type TaskRecord } from './changelog.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { LocalState, LocalTask } from './local-state.ts'
import type { PartitionReader } from './partition-reader.ts'
import type { KafkaTopic, TopicTable } from './topic-table.ts'

export interface ViewParts {
  readonly platform: Platform
  readonly names: KafkaNames
  readonly topics: TopicTable
  readonly reader: PartitionReader
  readonly local: LocalState
}

/**
 * What is committed of a task, as a local copy of its changelog. The owner keeps it up to date with its own commits;
 * anybody else reads on before looking.
 */
export class TaskView {
  readonly task: TaskId
  readonly #parts: ViewParts
  #copy: LocalTask | undefined
  /** The last thing below the copy's end is a commit of ours, whose marker comes next. */
  #isBeforeMarker = false
  #reading: Promise<void> | undefined
  #restoring: number | undefined
  /** Wake those who wait for no more than the beginning of a long restore. */
  readonly #farBehind: (() => void)[] = []

  constructor(task: TaskId, parts: ViewParts) {
    this.task = task
    this.#parts = parts
  }

  /** Records that the copy still lacks, while it is far behind. */
  get restoring(): number | undefined {
    return this.#restoring
  }

  get record(): TaskRecord | undefined {
    return this.#copy?.record
  }

  /** Reads the changelog to its end. A question that came while another was being read is answered by the next reading. */
  async catchUp(): Promise<void> {
    await this.#reading?.catch(() => undefined)
    this.#reading ??= this.#readOn().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  /** Like `catchUp`; but of a long restore only the first batch is waited for. */
  async look(): Promise<void> {
    if (this.#restoring !== undefined) return
    const caughtUp = this.catchUp()
    const farBehind = new Promise<void>((resolve) => this.#farBehind.push(resolve))
    await Promise.race([caughtUp, farBehind])
    caughtUp.catch(() => undefined)
  }

  /** Nothing that is still to be written to the changelog gets an offset below this. */
  get end(): number {
    return this.#copy!.next + (this.#isBeforeMarker ? 1 : 0)
  }

  /**
   * The owner's own commit, whose records are all below `end`. Nobody else writes there, so that follows from the end
   * before it and their number; to be too low costs reading something again. A reading may have been quicker.
   */
  apply(entries: readonly StateEntryChange[], record: TaskRecord, end: number): void {
    const isNews = end > this.#copy!.next
    this.#moveTo(entries, record, isNews ? end : this.#copy!.next)
    this.#isBeforeMarker = isNews
  }

  read(store: string, keys: readonly string[]): readonly (string | undefined)[] {
    if (this.#copy === undefined) return keys.map(() => undefined)
    return this.#parts.local.read(this.#copy.id, store, keys)
  }

  stores(): readonly string[] {
    return this.#copy === undefined ? [] : this.#parts.local.stores(this.#copy.id)
  }

  scan(store: string, after: string | undefined, limit: number): readonly StateEntry[] {
    return this.#copy === undefined ? [] : this.#parts.local.scan(this.#copy.id, store, after, limit)
  }

  count(store: string): number {
    return this.#copy === undefined ? 0 : this.#parts.local.count(this.#copy.id, store)
  }

  async #readOn(): Promise<void> {
    const { names, topics } = this.#parts
    const { group, topic, partition } = this.task
    const changelog = await topics.find(names.changelog(group, topic))
    if (changelog === undefined || partition >= changelog.partitions) return
    this.#copy ??= this.#trusted(changelog)
    try {
      await this.#readToEnd(changelog)
    } catch (error) {
      if (!hasCode(error, 'OFFSET_OUT_OF_RANGE')) throw error
      // The copy is of another changelog, or of a part that is gone: what is there now is the truth.
      this.#copy = this.#parts.local.reset(this.task, changelog.id, 0)
      this.#isBeforeMarker = false
      await this.#readToEnd(changelog)
    }
  }

  /** A copy that was not read on for too long may have missed that a key was deleted. */
  #trusted({ id }: KafkaTopic): LocalTask {
    const { local, platform } = this.#parts
    const known = local.task(this.task)
    const since = platform.clock.now() - kafkaLimits.localCopyAgeMsMax
    if (known !== undefined && known.changelogId === id && known.readAt > since) return known
    return local.reset(this.task, id, 0)
  }

  async #readToEnd(changelog: KafkaTopic): Promise<void> {
    try {
      await this.#readAll(changelog)
    } finally {
      this.#restoring = undefined
      this.#farBehind.length = 0
    }
  }

  async #readAll({ name }: KafkaTopic): Promise<void> {
    let restored = 0
    for (let isBehind = true; isBehind; ) {
      const from = this.#copy!.next
      const { records, next, end } = await this.#parts.reader.read({
        topic: name,
        partition: this.task.partition,
        offset: from,
        recordsMax: kafkaLimits.restoreRecords,
        bytesMax: kafkaLimits.readBufferBytesMax,
      })
      if (this.#copy!.next !== from) {
        // The owner has committed meanwhile: what was read is older than the copy.
        isBehind = this.#copy!.next < end
        continue
      }
      const { task, entries } = decodeChangelog(records)
      restored += records.length
      if (next > from) this.#moveTo(entries, task ?? this.record, next)
      isBehind = next < end
      this.#tell(restored, end - next)
    }
  }

  #tell(restored: number, left: number): void {
    const wasRestoring = this.#restoring !== undefined
    this.#restoring = left > 0 ? left : undefined
    if (left > 0) for (const wake of this.#farBehind.splice(0)) wake()
    if ((restored > 0 || wasRestoring) && restoreChannel.hasSubscribers)
      restoreChannel.publish({ ...this.task, restored, left })
  }

  #moveTo(entries: readonly StateEntryChange[], record: TaskRecord | undefined, next: number): void {
    const { local, platform } = this.#parts
    const readAt = platform.clock.now()
    const { id, changelogId } = this.#copy!
    local.apply(id, entries, { next, readAt, record })
    this.#copy = { id, changelogId, next, readAt, record }
    this.#isBeforeMarker = false
  }
}
