import { SemelError } from '../../errors.ts'
import { StatementFailure, translated } from './postgres-errors.ts'
import type { Session } from './session.ts'
import { quoteIdentifier, sqlText } from './sql-text.ts'
import { inTransaction } from './transaction.ts'

/** In their order. A file that was released is never edited: what changes later comes as another file. */
const migrations = [
  '0001-log.sql',
  '0002-tasks.sql',
  '0003-write.sql',
  '0004-leases.sql',
  '0005-reading.sql',
  '0006-ids.sql',
  '0007-status.sql',
  '0008-outbox.sql',
  '0009-plans.sql',
  '0010-move.sql',
  '0011-recent-state.sql',
  '0012-state-log.sql',
] as const

/** Version of the schema that this program knows. */
export const schemaVersion = migrations.length

export interface SchemaFacts {
  readonly logId: string
  /** Secret of the log's id hashes. */
  readonly hashSeed: number
}

/**
 * Brings the schema to this program's version and answers what is particular to this log. A newer schema is refused,
 * an up-to-date one needs no right to change anything.
 */
export async function migrate(
  session: Session,
  schema: string,
  fresh: () => SchemaFacts,
): Promise<SchemaFacts> {
  if ((await readVersion(session, schema)) < schemaVersion) await run(session, schema, fresh)
  return await readFacts(session, schema)
}

/**
 * The same of a schema that must be there, and of this program's version: nothing is changed.
 *
 * @throws SemelError NOT_FOUND, STORAGE_FORMAT, STORAGE_CORRUPT
 */
export async function existingSchema(session: Session, schema: string): Promise<SchemaFacts> {
  const version = await readVersion(session, schema)
  if (version === schemaVersion) return await readFacts(session, schema)
  if (version === 0) {
    throw new SemelError('NOT_FOUND', `the database has no Semel log in schema ${schema}`, {
      field: 'schema',
      hint: 'give the schema that the program passes to postgres({ schema })',
    })
  }
  throw new SemelError('STORAGE_FORMAT', `schema ${schema} has version ${version}, not ${schemaVersion}`, {
    field: 'schema',
    limit: schemaVersion,
    actual: version,
    hint: 'a program that opens it with this version of semel brings it up to date',
  })
}

async function readFacts(session: Session, schema: string): Promise<SchemaFacts> {
  const rows = await session.rows(`select name, value from ${quoteIdentifier(schema)}.meta`)
  const meta = new Map(rows.map(([name, value]) => [name, value]))
  const logId = meta.get('log_id')
  const hashSeed = Number(meta.get('hash_seed'))
  if (logId && Number.isSafeInteger(hashSeed)) return { logId, hashSeed }
  throw new SemelError('STORAGE_CORRUPT', `the table meta of schema ${schema} does not say which log it is`, {
    hint: 'restore it: without the identity of the log, positions cannot be trusted (D6)',
  })
}

/** One process at a time, in one transaction that also works through a pooler: all of it or nothing. */
async function run(session: Session, schema: string, fresh: () => SchemaFacts): Promise<void> {
  try {
    await inTransaction(session, async () => {
      await session.command('set local search_path = pg_catalog, pg_temp')
      await session.rows('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`semel migrate ${schema}`])
      const from = await readVersion(session, schema)
      if (from === 0) await session.command(`create schema if not exists ${quoteIdentifier(schema)}`)
      for (const file of migrations.slice(from)) await session.command(sqlText(`migrations/${file}`, schema))
      if (from === 0) await describe(session, schema, fresh())
      const meta = `${quoteIdentifier(schema)}.meta`
      await session.rows(
        `insert into ${meta} (name, value) values ('version', $1) on conflict (name) do update set value = excluded.value`,
        [String(schemaVersion)],
      )
    })
  } catch (error) {
    if (error instanceof StatementFailure && error.sqlState === '42501') {
      throw new SemelError(
        'ENGINE_OPEN_FAILED',
        `the role may not create or change schema ${schema}: ${error.message}`,
        {
          field: 'schema',
          hint: 'open it once with a role that owns the schema, then grant the rights that docs/how-to/run-on-postgres.md lists',
        },
      )
    }
    throw translated(error, `migrating schema ${schema}`, true)
  }
}

async function describe(session: Session, schema: string, { logId, hashSeed }: SchemaFacts): Promise<void> {
  await session.rows(
    `insert into ${quoteIdentifier(schema)}.meta (name, value) values ('log_id', $1), ('hash_seed', $2)`,
    [logId, String(hashSeed)],
  )
}

/**
 * Asked of the tables themselves: `to_regclass` may answer from a cache that has not heard of what another process
 * made while we waited for our turn.
 */
const findMeta = `select 1 from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
  where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) 'meta'`

/** 0 if there is no such schema. */
async function readVersion(session: Session, schema: string): Promise<number> {
  if ((await session.rows(findMeta, [schema])).length === 0) return 0
  const meta = `${quoteIdentifier(schema)}.meta`
  const rows = await session.rows(`select value from ${meta} where name operator(pg_catalog.=) 'version'`)
  const version = Number(rows[0]?.[0] ?? 0)
  if (version <= schemaVersion) return version
  throw new SemelError(
    'STORAGE_FORMAT',
    `schema ${schema} has version ${version}, this program knows up to ${schemaVersion}`,
    { field: 'schema', limit: schemaVersion, actual: version, hint: 'use a newer semel' },
  )
}

/** Text of all migrations, for tests and for people who want to run them by hand. */
export function migrationTexts(schema: string): readonly string[] {
  return migrations.map((file) => sqlText(`migrations/${file}`, schema))
}
