import {
  type ErrorCode,
  isSemelError,
  type Outcome,
  SemelError,
  type SemelErrorDetail,
} from '../../errors.ts'

/** Primary result codes of SQLite (https://sqlite.org/rescode.html) that mean something to us. */
const resultCodes = {
  busy: 5,
  locked: 6,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  protocol: 15,
  notADatabase: 26,
} as const

/** Primary result code of an error thrown by node:sqlite; `undefined` for any other error. */
export function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined
  return error.errcode & 0xff
}

export function isBusy(error: unknown): boolean {
  const code = resultCodeOf(error)
  return code === resultCodes.busy || code === resultCodes.locked
}

const fatalCodes: ReadonlySet<number | undefined> = new Set([
  resultCodes.readOnly,
  resultCodes.ioError,
  resultCodes.corrupt,
  resultCodes.cantOpen,
  resultCodes.protocol,
  resultCodes.notADatabase,
])

/** After such an error nothing more may be written before the file was opened again (D4). */
export function isFatal(error: unknown): boolean {
  return fatalCodes.has(resultCodeOf(error))
}

/** No space left. SQLite finds out while it writes pages, before the last one that makes a transaction exist. */
export function isFull(error: unknown): boolean {
  return resultCodeOf(error) === resultCodes.full
}

/** Our error for a failed write, with the outcome the caller knows. */
export function writeError(error: unknown, file: string, outcome: Outcome): SemelError {
  if (isSemelError(error)) return error
  const detail: SemelErrorDetail = { outcome, cause: error }
  switch (resultCodeOf(error)) {
    case resultCodes.busy:
    case resultCodes.locked:
      return new SemelError('STORAGE_LOCKED', `another program keeps ${file} locked`, {
        ...detail,
        retryable: true,
      })
    case resultCodes.full:
      return new SemelError('STORAGE_FULL', `no space left for ${file}`, {
        ...detail,
        retryable: true,
        hint: 'free space and publish again; what was acknowledged before is kept',
      })
    case resultCodes.readOnly:
      return new SemelError('STORAGE_READ_ONLY', `${file} cannot be written`, detail)
    case resultCodes.corrupt:
    case resultCodes.notADatabase:
      return new SemelError('STORAGE_CORRUPT', `${file} is damaged: ${textOf(error)}`, {
        ...detail,
        hint: 'keep a copy of the file, then restore from a backup; nothing was deleted',
      })
    default:
      return new SemelError('ENGINE_FAILED', `writing to ${file} failed: ${textOf(error)}`, detail)
  }
}

/** Our error for a failed read. It says what of the file is wrong, not that the engine is. */
export function readError(error: unknown, file: string): unknown {
  if (resultCodeOf(error) === undefined) return error
  const translated = writeError(error, file, 'not-applied')
  if (translated.code === 'STORAGE_CORRUPT' || translated.code === 'STORAGE_LOCKED') return translated
  return new SemelError('ENGINE_FAILED', `reading ${file} failed: ${textOf(error)}`, { cause: error })
}

/** Our error for a file that cannot be opened. */
export function openError(error: unknown, file: string): SemelError {
  if (isSemelError(error)) return error
  switch (resultCodeOf(error)) {
    case resultCodes.cantOpen:
      return new SemelError('ENGINE_OPEN_FAILED', `cannot open ${file}: ${textOf(error)}`, {
        field: 'file',
        hint: 'the folder must exist and be writable',
        cause: error,
      })
    case resultCodes.notADatabase:
      return new SemelError('STORAGE_CORRUPT', `${file} is not a SQLite database`, {
        field: 'file',
        cause: error,
      })
    default:
      return writeError(error, file, 'not-applied')
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** An error as plain data, to cross the thread boundary. */
export type WireError = Record<string, unknown>

export function toWire(error: unknown, file: string): WireError {
  return writeError(error, file, 'unknown').toJSON()
}

export function fromWire(wire: WireError): SemelError {
  const { code, message, ...detail } = wire
  // Made by toJSON in the other thread, from an error of this very class.
  return new SemelError(code as ErrorCode, String(message), detail as SemelErrorDetail)
}
