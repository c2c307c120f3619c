import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SemelError } from '../../errors.ts'
import { fileKind, makePrivate } from '../../platform/files.ts'
import type { Random } from '../../platform/platform.ts'
import { formatVersion, schemaSql } from './schema.ts'
import { openError } from './sqlite-errors.ts'

const pageBytes = 8192
const cacheKib = 32 * 1024
/** Pages of write-ahead log before it is copied back: larger spreads the copy over more commits. */
const checkpointPages = 4000

/** Opens the file for writing, creates or checks the schema, and answers the log's identity. */
export function openForWriting(
  file: string,
  lockWaitMs: number,
  random: Random,
): { database: DatabaseSync; logId: string } {
  checkPath(file)
  const isNew = fileKind(file) === 'missing'
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { timeout: lockWaitMs })
    if (isNew) makePrivate(file)
    database.exec(`pragma page_size = ${pageBytes}`)
    database.exec('pragma journal_mode = wal')
    database.exec('pragma synchronous = full')
    database.exec(`pragma wal_autocheckpoint = ${checkpointPages}`)
    database.exec(`pragma cache_size = -${cacheKib}`)
    database.exec('pragma foreign_keys = off')
    const logId = prepareSchema(database, file, random)
    return { database, logId }
  } catch (error) {
    database?.close()
    throw openError(error, file)
  }
}

/** A connection for reading beside the writer. */
export function openForReading(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
  database.exec(`pragma cache_size = -${cacheKib}`)
  return database
}

function checkPath(file: string): void {
  const kind = fileKind(file)
  if (kind === 'folder') {
    throw new SemelError('ENGINE_OPEN_FAILED', `${file} is a folder, a file is needed`, { field: 'file' })
  }
  const folder = fileKind(dirname(file))
  if (folder === 'folder') return
  throw new SemelError(
    'ENGINE_OPEN_FAILED',
    `the folder of ${file} ${folder === 'missing' ? 'does not exist' : 'cannot be used'}`,
    {
      field: 'file',
      hint: 'create the folder first',
    },
  )
}

function prepareSchema(database: DatabaseSync, file: string, random: Random): string {
  database.exec('begin immediate')
  const known = database.prepare("select 1 from sqlite_master where name = 'semel_meta'").get()
  if (known === undefined) {
    database.exec(schemaSql)
    const insert = database.prepare('insert into semel_meta values (?, ?)')
    insert.run('format', String(formatVersion))
    insert.run('log_id', newLogId(random))
  }
  const meta = new Map(
    database
      .prepare('select name, value from semel_meta')
      .all()
      .map(({ name, value }) => [String(name), String(value)]),
  )
  database.exec('commit')
  checkFormat(Number(meta.get('format')), file)
  return meta.get('log_id')!
}

function checkFormat(format: number, file: string): void {
  if (format === formatVersion) return
  throw new SemelError(
    'STORAGE_FORMAT',
    `${file} has format ${format}, this version of Semel knows ${formatVersion}`,
    {
      limit: formatVersion,
      actual: format,
      hint: 'open it with the newer Semel that wrote it',
    },
  )
}

function newLogId(random: Random): string {
  return Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
}
