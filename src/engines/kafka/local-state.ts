import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { StateEntry, TaskId } from '../../engine/engine.ts'
import { SemelError } from '../../errors.ts'
import { makeFolder, makePrivate, removeFolder, temporaryFolder } from '../../platform/files.ts'
import type { StateEntryChange, TaskRecord } from './changelog.ts'

/** How far the local copy of a task has read the changelog, and what the changelog says of the task there. */
export interface LocalTask {
  readonly id: number
  /** Kafka's id of the changelog that was read. */
  readonly changelogId: string
  /** Offset to read on from. */
  readonly next: number
  /** When it was last read to its end, ms since 1970. */
  readonly readAt: number
  readonly record: TaskRecord | undefined
}

const formatVersion = 1
const schema = `
  create table task (
    id integer primary key,
    grp text not null, topic text not null, part integer not null,
    changelog_id text not null, next integer not null, read_at real not null,
    record text,
    unique (grp, topic, part)
  ) strict;
  create table entry (
    task integer not null, store text not null, key text not null, value text not null,
    primary key (task, store, key)
  ) strict, without rowid;
`

/**
 * The local copy of all tasks' state, in one SQLite file of this engine alone. It stores the changelog's offset in the
 * transaction that applies what was read there, so after a crash it goes on where it was. It may lose its last
 * transactions with the machine: they are read again.
 */
export class LocalState {
  readonly #database: DatabaseSync
  readonly #temporary: string | undefined
  readonly #statements: Statements

  private constructor(database: DatabaseSync, temporary: string | undefined) {
    this.#database = database
    this.#temporary = temporary
    this.#statements = prepareAll(database)
  }

  static open(folder: string | undefined): LocalState {
    const temporary = folder === undefined ? temporaryFolder('semel-kafka-state') : undefined
    const place = folder ?? temporary!
    try {
      makeFolder(place)
      return new LocalState(openDatabase(join(place, 'semel-state.db')), temporary)
    } catch (cause) {
      if (temporary !== undefined) removeFolder(temporary)
      throw new SemelError('ENGINE_OPEN_FAILED', `the local copy of state in ${place} cannot be opened`, {
        field: 'stateDirectory',
        hint: 'each engine needs a folder of its own; a damaged copy may be removed, it is restored from Kafka',
        cause,
      })
    }
  }

  task({ group, topic, partition }: TaskId): LocalTask | undefined {
    const row = this.#statements.task.get(group, topic, partition)
    if (row === undefined) return undefined
    const { id, changelog_id, next, read_at, record } = row
    return {
      id: Number(id),
      changelogId: String(changelog_id),
      next: Number(next),
      readAt: Number(read_at),
      record: record === null ? undefined : JSON.parse(String(record)),
    }
  }

  /** Forgets what is known of the task and begins at `next` of this changelog. */
  reset({ group, topic, partition }: TaskId, changelogId: string, next: number): LocalTask {
    return this.#atomically(() => {
      const known = this.task({ group, topic, partition })
      if (known !== undefined) {
        this.#statements.forgetEntries.run(known.id)
        this.#statements.forgetTask.run(known.id)
      }
      const { lastInsertRowid } = this.#statements.addTask.run(group, topic, partition, changelogId, next)
      return { id: Number(lastInsertRowid), changelogId, next, readAt: 0, record: undefined }
    })
  }

  apply(id: number, entries: readonly StateEntryChange[], to: Omit<LocalTask, 'id' | 'changelogId'>): void {
    this.#atomically(() => {
      for (const { store, key, value } of entries) {
        if (value === undefined) this.#statements.remove.run(id, store, key)
        else this.#statements.put.run(id, store, key, value)
      }
      const record = to.record === undefined ? null : JSON.stringify(to.record)
      this.#statements.moveTask.run(to.next, to.readAt, record, id)
    })
  }

  read(id: number, store: string, keys: readonly string[]): readonly (string | undefined)[] {
    return keys.map((key) => {
      const row = this.#statements.get.get(id, store, key)
      return row === undefined ? undefined : String(row.value)
    })
  }

  stores(id: number): readonly string[] {
    return this.#statements.stores.all(id).map(({ store }) => String(store))
  }

  scan(id: number, store: string, after: string | undefined, limit: number): readonly StateEntry[] {
    const rows =
      after === undefined
        ? this.#statements.scan.all(id, store, limit)
        : this.#statements.scanAfter.all(id, store, after, limit)
    return rows.map(({ key, value }) => ({ key: String(key), value: String(value) }))
  }

  count(id: number, store: string): number {
    return Number(this.#statements.count.get(id, store)!.count)
  }

  close(): void {
    this.#database.close()
    if (this.#temporary !== undefined) removeFolder(this.#temporary)
  }

  #atomically<T>(work: () => T): T {
    this.#database.exec('begin immediate')
    try {
      const result = work()
      this.#database.exec('commit')
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('rollback')
      throw error
    }
  }
}

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file)
  try {
    makePrivate(file)
    // Taken at the first access and kept: nobody else may write to this copy.
    database.exec('pragma locking_mode = exclusive')
    database.exec('pragma journal_mode = wal')
    database.exec('pragma synchronous = normal')
    const version = Number(database.prepare('pragma user_version').get()!.user_version)
    if (version === formatVersion) return database
    database.exec('drop table if exists task; drop table if exists entry')
    database.exec(schema)
    database.exec(`pragma user_version = ${formatVersion}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

type Statements = ReturnType<typeof prepareAll>

function prepareAll(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql)
  return {
    task: prepare(
      'select id, changelog_id, next, read_at, record from task where grp = ? and topic = ? and part = ?',
    ),
    addTask: prepare(
      'insert into task (grp, topic, part, changelog_id, next, read_at) values (?, ?, ?, ?, ?, 0)',
    ),
    moveTask: prepare('update task set next = ?, read_at = ?, record = ? where id = ?'),
    forgetTask: prepare('delete from task where id = ?'),
    forgetEntries: prepare('delete from entry where task = ?'),
    put: prepare('insert into entry values (?, ?, ?, ?) on conflict do update set value = excluded.value'),
    remove: prepare('delete from entry where task = ? and store = ? and key = ?'),
    get: prepare('select value from entry where task = ? and store = ? and key = ?'),
    stores: prepare('select distinct store from entry where task = ? order by store'),
    scan: prepare('select key, value from entry where task = ? and store = ? order by key limit ?'),
    scanAfter: prepare(
      'select key, value from entry where task = ? and store = ? and key > ? order by key limit ?',
    ),
    count: prepare('select count(*) as count from entry where task = ? and store = ?'),
  }
}
