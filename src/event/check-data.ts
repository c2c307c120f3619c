import { SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import { RawJson } from './event.ts'

/**
 * Checks that `data` survives storage unchanged: plain JSON, bytes or raw JSON text, within the depth and size
 * limits. What `JSON.stringify` would change in silence (NaN, -0, undefined, Map, Date, toJSON …) is refused with
 * its path (faults.md 4.1). Answers about how many characters it has.
 */
export function checkData(data: unknown): number {
  if (data instanceof RawJson) return checkRawJson(data)
  if (!(data instanceof Uint8Array)) return checkJson(data)
  checkSize(data.byteLength)
  return data.byteLength
}

function checkRawJson(raw: RawJson): number {
  let value: unknown
  // Before it is parsed: what is too large costs nothing.
  if (typeof raw.text === 'string') checkSize(Buffer.byteLength(raw.text))
  try {
    if (!raw.text.isWellFormed()) throw new SyntaxError('text is not well-formed Unicode')
    value = raw.parse()
  } catch (cause) {
    throw new SemelError('INVALID_DATA', 'data is raw JSON text that cannot be parsed', {
      field: 'data',
      cause,
    })
  }
  if (tooDeep(value, 0)) throw depthError()
  return raw.text.length
}

/** Checks a value that will be stored as JSON. `field` names it in errors. Answers about how many characters it has. */
export function checkJson(
  value: unknown,
  field = 'data',
  bytesMax: number = limits.eventDataBytesMax,
): number {
  let size: number
  let bytes: number
  try {
    size = measure(value, 0)
    if (size < 0) throw explain(value, field)
    bytes = bytesOf(value, size, bytesMax)
  } catch (cause) {
    if (cause instanceof SemelError) throw cause
    throw new SemelError('INVALID_DATA', `${field} cannot be read: a getter or proxy threw`, { field, cause })
  }
  checkSize(bytes, field, bytesMax)
  return size
}

/** Exact only near the limit: a character takes at most 6 bytes in JSON, and `size` is at most 5 times too high. */
function bytesOf(value: unknown, size: number, bytesMax: number): number {
  if (size * 6 <= bytesMax || size > bytesMax * 5) return size
  return Buffer.byteLength(JSON.stringify(value))
}

function checkSize(bytes: number, field = 'data', bytesMax: number = limits.eventDataBytesMax): void {
  if (bytes <= bytesMax) return
  throw new SemelError('TOO_LARGE', `${field} has ${bytes} bytes, the limit is ${bytesMax}`, {
    field,
    limit: bytesMax,
    actual: bytes,
  })
}

/** Rough size in characters, or -1 if something would not survive. One pass, no allocation: this is the hot path. */
function measure(value: unknown, depth: number): number {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? value.length + 2 : -1
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? 8 : -1
    case 'boolean':
      return 5
    case 'object':
      return value === null ? 4 : measureObject(value, depth)
    default:
      return -1
  }
}

function measureObject(value: object, depth: number): number {
  if (depth >= limits.dataDepthMax) return -1
  if (Array.isArray(value)) return measureArray(value, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return -1
  let size = 2
  for (const name in value) {
    const part = measure(Reflect.get(value, name), depth + 1)
    if (part < 0 || !name.isWellFormed()) return -1
    size += part + name.length + 4
  }
  return 'toJSON' in value && typeof value.toJSON === 'function' ? -1 : size
}

function measureArray(value: readonly unknown[], depth: number): number {
  let size = 2
  for (let i = 0; i < value.length; i++) {
    const part = measure(value[i], depth + 1)
    if (part < 0) return -1
    size += part + 1
  }
  return size
}

/** The slow second pass, only for refused values: finds the path and the reason. */
function explain(value: unknown, path: string, depth = 0): SemelError {
  const reason = reasonOf(value, depth)
  if (reason === 'too deep') return depthError(path)
  if (reason !== undefined) return invalidData(path, reason)
  for (const [name, member] of Object.entries(value as object)) {
    if (measure(member, depth + 1) >= 0) continue
    const memberPath = Array.isArray(value) ? `${path}[${name}]` : `${path}.${name.slice(0, 60)}`
    return explain(member, memberPath, depth + 1)
  }
  return invalidData(path, 'it has holes or names that cannot be stored')
}

function reasonOf(value: unknown, depth: number): string | undefined {
  if (typeof value === 'string') return 'half of a surrogate pair is not text'
  if (typeof value === 'number') return `${Object.is(value, -0) ? '-0' : value} is not a JSON number`
  if (typeof value !== 'object' || value === null) return `${typeof value} is not a JSON value`
  if (depth >= limits.dataDepthMax) return 'too deep'
  if (Array.isArray(value)) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    return `${value.constructor?.name ?? 'this class'} would change on the way; convert it to plain JSON first`
  }
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return 'an object with toJSON would change on the way'
  return undefined
}

function invalidData(path: string, reason: string): SemelError {
  return new SemelError('INVALID_DATA', `${path}: ${reason}`, { field: path })
}

function depthError(path = 'data'): SemelError {
  return new SemelError(
    'TOO_DEEP',
    `${path.slice(0, 200)}: nested deeper than ${limits.dataDepthMax} levels`,
    {
      field: 'data',
      limit: limits.dataDepthMax,
    },
  )
}

function tooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth >= limits.dataDepthMax) return true
  return Object.values(value).some((member) => tooDeep(member, depth + 1))
}
