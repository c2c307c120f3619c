import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SemelError } from '../../errors.ts'
import { fileKind, makePrivate } from '../../platform/files.ts'
import type { Platform } from '../../platform/platform.ts'
import { type IdFormat, idFormat, newestFormat, oldestFormat } from './id-format.ts'
import type { HashKey } from './keyed-hash.ts'
import { applicationId, schemaSql } from './schema.ts'
import { openError } from './sqlite-errors.ts'
import { sqliteLimits } from './sqlite-limits.ts'

export interface OpenedFile {
  readonly database: DatabaseSync
  readonly logId: string
  readonly idFormat: IdFormat
}

/** Opens the file for writing, creates or checks the schema, and answers the log's identity. */
export function openForWriting(file: string, lockWaitMs: number, platform: Platform): OpenedFile {
  checkPath(file)
  const isNew = fileKind(file) === 'missing'
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { timeout: lockWaitMs })
    if (isNew) makePrivate(file)
    prepareConnection(database)
    const opened = { database, ...prepareSchema(database, file, platform) }
    // From here on the transaction gate does the waiting.
    database.exec('pragma busy_timeout = 0')
    return opened
  } catch (error) {
    database?.close()
    throw openError(error, file)
  }
}

function prepareConnection(database: DatabaseSync): void {
  const { pageBytes, writerCacheKib } = sqliteLimits
  database.exec(`pragma page_size = ${pageBytes}`)
  database.exec('pragma journal_mode = wal')
  database.exec('pragma synchronous = full')
  // macOS only: a plain fsync there does not empty the disk's own cache (D1).
  database.exec('pragma fullfsync = on')
  database.exec('pragma checkpoint_fullfsync = on')
  database.exec('pragma wal_autocheckpoint = 0')
  database.exec(`pragma cache_size = -${writerCacheKib}`)
  database.exec('pragma foreign_keys = off')
}

/** A connection for reading beside the writer. */
export function openForReading(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { readOnly: true, timeout: sqliteLimits.lockWaitMsDefault })
  database.exec(`pragma cache_size = -${sqliteLimits.readerCacheKib}`)
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
    { field: 'file', hint: 'create the folder first' },
  )
}

function prepareSchema(
  database: DatabaseSync,
  file: string,
  platform: Platform,
): Omit<OpenedFile, 'database'> {
  if (!hasSchema(database)) createOnce(database, platform)
  const meta = new Map(
    database
      .prepare('select name, value from semel_meta')
      .all()
      .map(({ name, value }) => [String(name), String(value)]),
  )
  const format = Number(meta.get('format'))
  checkFormat(format, file)
  const logId = meta.get('log_id')
  const hashKey = meta.get('hash_key')
  if (logId === undefined || !/^[\da-f]{16}$/.test(hashKey ?? '')) throw damagedMeta(file)
  return { logId, idFormat: idFormat(format, keyFromHex(hashKey!)) }
}

function hasSchema(database: DatabaseSync): boolean {
  return database.prepare("select 1 from sqlite_schema where name = 'semel_meta'").get() !== undefined
}

/** Only a file without schema needs the write lock: a busy file must not keep anybody from opening it. */
function createOnce(database: DatabaseSync, platform: Platform): void {
  database.exec('begin immediate')
  if (!hasSchema(database)) create(database, platform)
  database.exec('commit')
}

function create(database: DatabaseSync, { random }: Platform): void {
  database.exec(schemaSql)
  database.exec(`pragma application_id = ${applicationId}`)
  const insert = database.prepare('insert into semel_meta values (?, ?)')
  const hex = (words: number): string => {
    return Array.from({ length: words }, () => random.uint32().toString(16).padStart(8, '0')).join('')
  }
  insert.run('format', String(newestFormat))
  insert.run('log_id', hex(4))
  insert.run('hash_key', hex(2))
  insert.run('generations', '0')
}

function keyFromHex(hex: string): HashKey {
  return { k0: Number.parseInt(hex.slice(0, 8), 16), k1: Number.parseInt(hex.slice(8), 16) }
}

function checkFormat(format: number, file: string): void {
  if (!Number.isInteger(format) || format < oldestFormat) throw damagedMeta(file)
  if (format <= newestFormat) return
  throw new SemelError(
    'STORAGE_FORMAT',
    `${file} has format ${format}, this version of Semel knows ${newestFormat}`,
    { limit: newestFormat, actual: format, hint: 'open it with the newer Semel that wrote it' },
  )
}

function damagedMeta(file: string): SemelError {
  return new SemelError('STORAGE_CORRUPT', `${file} is damaged: it does not say what it is`, {
    field: 'file',
    hint: 'keep a copy of the file, then restore from a backup; nothing was deleted',
  })
}
