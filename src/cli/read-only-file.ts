import type { DatabaseSync } from 'node:sqlite'
import type { PartitionBounds, ReadRequest, ReadResult, ScanRequest, StateEntry } from '../engine/engine.ts'
import type { EngineStatus } from '../engine/status.ts'
import { AppendWatch } from '../engines/sqlite/append-watch.ts'
import { openForReading } from '../engines/sqlite/database-file.ts'
import { sqliteFacts } from '../engines/sqlite/facts.ts'
import { newestFormat, oldestFormat } from '../engines/sqlite/id-format.ts'
import { LogReader } from '../engines/sqlite/log-reader.ts'
import { openError } from '../engines/sqlite/sqlite-errors.ts'
import { sqliteStatus } from '../engines/sqlite/sqlite-status.ts'
import { StateReader } from '../engines/sqlite/state-reader.ts'
import { SemelError } from '../errors.ts'
import { fileKind } from '../platform/files.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { ReadOnlyEngine } from './read-only-engine.ts'

/**
 * The reading half of the SQLite engine on a file that exists already. Looking at a log must not create a file by a
 * mistyped path, take the write lock from the program that works on it, or need the right to write.
 */
export class ReadOnlyFile extends ReadOnlyEngine {
  readonly facts = sqliteFacts
  readonly logId: string
  readonly name: string
  readonly #file: string
  readonly #database: DatabaseSync
  readonly #reader: LogReader
  readonly #state: StateReader
  readonly #watch: AppendWatch

  /** @throws SemelError NOT_FOUND, STORAGE_FORMAT, STORAGE_CORRUPT, ENGINE_OPEN_FAILED */
  constructor(file: string) {
    super()
    this.name = file
    this.#file = file
    this.#database = openExisting(file)
    try {
      this.logId = readLogId(this.#database, file)
      this.#reader = new LogReader(this.#database, file)
      this.#state = new StateReader(this.#database)
    } catch (error) {
      this.#database.close()
      throw openError(error, file)
    }
    this.#watch = new AppendWatch(this.#database, realPlatform)
  }

  async close(): Promise<void> {
    this.#watch.close()
    this.#database.close()
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    return this.#reader.read(request)
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    const known = (await this.status()).topics.find(({ topic: name }) => name === topic)
    return known?.partitions ?? []
  }

  async offsetAt(topic: string, partition: number, time: number): Promise<number> {
    return this.#reader.offsetAt(topic, partition, time)
  }

  onAppend(listener: () => void): () => void {
    return this.#watch.listen(listener)
  }

  async scanState(request: ScanRequest): Promise<readonly StateEntry[]> {
    return this.#state.scan(request)
  }

  /** One read transaction, so that positions and ends belong together. */
  async status(): Promise<EngineStatus> {
    this.#database.exec('begin')
    try {
      return sqliteStatus(this.#database, this.#reader, this.#file, realPlatform.clock.now())
    } finally {
      this.#database.exec('commit')
    }
  }
}

function openExisting(file: string): DatabaseSync {
  const kind = fileKind(file)
  if (kind === 'missing') {
    throw new SemelError('NOT_FOUND', `there is no file ${file}`, {
      field: 'file',
      hint: 'give the path that the program passes to sqlite({ file })',
    })
  }
  if (kind !== 'file') {
    const reason = kind === 'folder' ? 'is a folder, a file is needed' : 'cannot be reached'
    throw new SemelError('ENGINE_OPEN_FAILED', `${file} ${reason}`, { field: 'file' })
  }
  try {
    return openForReading(file)
  } catch (error) {
    throw openError(error, file)
  }
}

function readLogId(database: DatabaseSync, file: string): string {
  const known = database.prepare("select 1 from sqlite_master where name = 'semel_meta'").get()
  if (known === undefined) {
    throw new SemelError('NOT_FOUND', `${file} is a SQLite file without a Semel log`, { field: 'file' })
  }
  const rows = database.prepare('select name, value from semel_meta').all()
  const meta = new Map(rows.map(({ name, value }) => [String(name), String(value)]))
  const format = Number(meta.get('format'))
  // What is read here is the same in all of them.
  if (format >= oldestFormat && format <= newestFormat) return meta.get('log_id') ?? ''
  throw new SemelError(
    'STORAGE_FORMAT',
    `${file} has format ${format}, this version of Semel knows ${newestFormat}`,
    { limit: newestFormat, actual: format, hint: 'use the Semel that wrote it' },
  )
}
