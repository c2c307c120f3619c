import { SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import { checkOptionNames, invalidOption } from '../options.ts'
import { checkText } from './check-names.ts'
import { attributeNames, type EventAttributes, type EventRecord } from './event.ts'

/** What a publisher said about an event, beside its data. */
export interface GivenAttributes extends EventAttributes {
  readonly id?: string | undefined
  readonly key?: string | null | undefined
  readonly type?: string | undefined
  readonly source?: string | undefined
  readonly time?: number | Date | undefined
}

export interface RecordDefaults {
  readonly type: string
  readonly source: string
}

/** Where new ids come from. */
export interface IdSource {
  next(nowMs: number): string
}

const givenNames = ['id', 'key', 'type', 'source', 'time', ...attributeNames]
const timeMsMax = 8.64e15
/** Below this a time is surely meant in seconds: it would be before 8 March 1973. */
const timeMsSuspicious = 1e11

/** Checks everything but the data and joins it to a record. `data` was checked before. */
export function makeRecord(
  data: unknown,
  given: GivenAttributes | undefined,
  defaults: RecordDefaults,
  key: string | null,
  now: number,
  ids: IdSource,
): EventRecord {
  if (given === undefined) {
    return {
      id: ids.next(now),
      source: defaults.source,
      type: defaults.type,
      time: now,
      key: checkKey(key),
      data,
      attributes: undefined,
    }
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw invalidOption('attributes', 'an object', given)
  checkOptionNames('attributes', given, givenNames)
  return {
    id:
      given.id === undefined
        ? ids.next(now)
        : checkText('INVALID_ID', 'id', given.id, limits.idBytesMax, false),
    source: given.source === undefined ? defaults.source : checkAttribute('source', given.source),
    type: given.type === undefined ? defaults.type : checkAttribute('type', given.type),
    time: given.time === undefined ? now : checkTime('time', given.time),
    key: checkKey(given.key === undefined ? key : given.key),
    data,
    attributes: pickAttributes(given),
  }
}

/** A key: absent is `null`, and the empty string is a key like any other. */
export function checkKey(key: string | null): string | null {
  if (key === null) return null
  return checkText('INVALID_KEY', 'key', key, limits.keyBytesMax, true)
}

function checkAttribute(name: string, value: string | number): string {
  return checkText('INVALID_ATTRIBUTE', name, value, limits.attributeBytesMax, false)
}

/** Milliseconds since 1970 from a number or Date, or INVALID_TIME. */
export function checkTime(field: string, time: number | Date): number {
  const ms = time instanceof Date ? time.getTime() : time
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms < 0 || ms > timeMsMax) {
    throw new SemelError('INVALID_TIME', `${field} must be milliseconds since 1970, from 0 to ${timeMsMax}`, {
      field,
      limit: timeMsMax,
    })
  }
  if (ms !== 0 && ms < timeMsSuspicious && !(time instanceof Date)) {
    throw new SemelError('INVALID_TIME', `${field} ${ms} looks like seconds; milliseconds are expected`, {
      field,
      hint: 'multiply by 1000, or pass a Date',
    })
  }
  return Math.floor(ms)
}

function pickAttributes(given: GivenAttributes): EventAttributes | undefined {
  let picked: Record<string, string | number> | undefined
  for (const name of attributeNames) {
    const value = given[name]
    if (value === undefined) continue
    picked ??= {}
    picked[name] = name === 'producersequence' ? checkSequence(value) : checkAttribute(name, value)
  }
  return picked
}

function checkSequence(value: string | number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new SemelError('INVALID_ATTRIBUTE', 'producersequence must be a whole number from 0', {
    field: 'producersequence',
  })
}
