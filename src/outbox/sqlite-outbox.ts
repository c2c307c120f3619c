import { DatabaseSync } from 'node:sqlite'
import { SemelError } from '../errors.ts'
import { checkAgainstSchemaNow } from '../event/check-schema.ts'
import { type PublishAttributes, Topic } from '../event/topic.ts'
import { checkOptionNames, invalidOption, requireOptions } from '../options.ts'
import { encodeData } from './outbox-event.ts'
import { outboxPreparer } from './outbox-preparer.ts'
import type { OutboxSource, WaitingRow } from './relay.ts'

const busyMs = 5_000

/*
 * SQLite lets one transaction write at a time, so the order of the row ids is the order of the commits.
 */
const createTables = `
  create table if not exists semel_outbox (
    id integer primary key autoincrement,
    topic text not null,
    key text,
    event_id text not null,
    type text not null,
    source text not null,
    time_ms integer not null,
    attributes text,
    encoding text not null,
    data text not null,
    refusal text
  ) strict;
  create index if not exists semel_outbox_waiting on semel_outbox (id) where refusal is null`

/* Made by the first relay, so that a log elsewhere knows this outbox again. */
const createName = `
  create table if not exists semel_outbox_name (
    only integer primary key check (only = 1),
    name text not null
  ) strict;
  insert or ignore into semel_outbox_name values (1, lower(hex(randomblob(16))))`

const insertRow = `insert into semel_outbox (topic, key, event_id, type, source, time_ms, attributes, encoding, data)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?)`

/**
 * Publishes one event within the open transaction of a connection to a SQLite file: it gets into the topic if and only if
 * that transaction commits. `relayOutbox({ from: sqliteOutbox({ file }), to: bus })` takes it there, from the file of the
 * SQLite engine or any other. Answers the event's id.
 *
 * @throws SemelError OUTSIDE_TRANSACTION after no BEGIN, and what `bus.publish` would refuse.
 */
export function publishInSqlite<T>(
  database: DatabaseSync,
  topic: Topic<T>,
  data: T,
  attributes?: PublishAttributes,
): string {
  if (!(database instanceof DatabaseSync)) throw invalidOption('database', 'a DatabaseSync', database)
  if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
  if (!database.isTransaction) {
    throw new SemelError(
      'OUTSIDE_TRANSACTION',
      'publishInSqlite needs an open transaction: BEGIN was not sent',
      {
        field: 'database',
        hint: 'bus.publish is for events that stand alone',
      },
    )
  }
  const record = outboxPreparer.prepare(topic, checkAgainstSchemaNow(topic, data), attributes)
  const stored = encodeData(record.data)
  database.exec(createTables)
  const given = record.attributes === undefined ? null : JSON.stringify(record.attributes)
  database
    .prepare(insertRow)
    .run(
      topic.name,
      record.key,
      record.id,
      record.type,
      record.source,
      record.time,
      given,
      stored.encoding,
      stored.data,
    )
  return record.id
}

export interface SqliteOutboxOptions {
  /** The file that the program's transactions write to. */
  readonly file: string
}

/** The outbox of a SQLite file, for `relayOutbox`. */
export function sqliteOutbox(options: SqliteOutboxOptions): OutboxSource {
  const { file } = requireOptions('sqliteOutbox options', options)
  checkOptionNames('sqliteOutbox', options, ['file'])
  if (typeof file !== 'string' || file === '') throw invalidOption('file', 'the path of a file', file)
  return new SqliteOutbox(file)
}

/** Its statements take well under a millisecond unless the file is locked; then they wait. */
class SqliteOutbox implements OutboxSource {
  readonly name: string
  readonly #database: DatabaseSync

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: busyMs })
    this.#database.exec(createTables)
    this.#database.exec(createName)
    this.name = String(this.#database.prepare('select name from semel_outbox_name').get()!.name)
  }

  async read(events: number, bytes: number): Promise<readonly WaitingRow[]> {
    const select =
      this.#database.prepare(`select id, topic, key, event_id, type, source, time_ms, attributes, encoding, data
      from semel_outbox where refusal is null order by id limit ?`)
    const rows: WaitingRow[] = []
    let size = 0
    for (const row of select.iterate(events)) {
      const waiting = waitingRow(row)
      size += waiting.data.length
      if (rows.length > 0 && size > bytes) break
      rows.push(waiting)
    }
    return rows
  }

  /** One transaction: after a power cut either all of them are gone or none. */
  async remove(rows: readonly WaitingRow[]): Promise<void> {
    const places = JSON.stringify(rows.map(({ place }) => place))
    this.#database
      .prepare('delete from semel_outbox where id in (select value from json_each(?))')
      .run(places)
  }

  async setAside({ place }: WaitingRow, reason: string): Promise<void> {
    this.#database.prepare('update semel_outbox set refusal = ? where id = ?').run(reason, place)
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}

function waitingRow(row: Record<string, unknown>): WaitingRow {
  const text = (value: unknown): string | null => (value === null ? null : String(value))
  return {
    place: Number(row.id),
    topic: String(row.topic),
    key: text(row.key),
    id: String(row.event_id),
    type: String(row.type),
    source: String(row.source),
    time: Number(row.time_ms),
    attributes: text(row.attributes),
    encoding: String(row.encoding),
    data: String(row.data),
  }
}
