import { type HistoryEvent, HistoryFormatError } from './record.ts'

/**
 * Names each line of a history, or says which field of which line is wrong. What has passed here is trusted:
 * the checker's judgement on a half-read history would be worth nothing.
 */

type Test = (value: unknown) => boolean
type Shape = Readonly<Record<string, Test>>

const text: Test = (value) => typeof value === 'string'
const number: Test = (value) => typeof value === 'number' && Number.isFinite(value)
const whole: Test = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const flag: Test = (value) => typeof value === 'boolean'
const textOrNull: Test = (value) => value === null || typeof value === 'string'
const list: Test = (value) => Array.isArray(value)
const maybe =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value)

const sent: Shape = {
  topic: text,
  key: textOrNull,
  id: textOrNull,
  val: text,
  crc: maybe(number),
  n: maybe(number),
}
const placed: Shape = { p: whole, off: whole, dup: maybe(flag) }
const place: Shape = { topic: text, p: whole }
const task: Shape = { g: text, topic: text, p: whole }
const step: Shape = { ...task, off: whole, epoch: maybe(whole), replay: maybe(text) }
const keyed: Shape = { ...step, key: maybe(textOrNull) }
const lease: Shape = { ...task, epoch: maybe(whole) }
const opened: Shape = { ...place, end: maybe(whole), logId: maybe(text), torn: maybe(whole) }
const scan: Shape = { ...place, from: whole, to: whole, hash: maybe(text), count: maybe(whole) }
const session: Shape = { ...place, g: maybe(text) }

/** Fields of `v` on an invoke, on a note, and on a lone `ok`. */
const callShapes: Readonly<Record<string, Shape>> = {
  publish: { ...sent, deadlineMs: maybe(number) },
  publishMany: { micro: list },
  tx: { micro: list },
  poll: { topic: text, g: maybe(text) },
  handle: { ...keyed, id: maybe(textOrNull) },
  commit: step,
  dlq: { ...step, id: maybe(textOrNull) },
  effect: { ...keyed, sink: text, n: maybe(number), seq: maybe(number), http: maybe(text) },
  acquire: lease,
  renew: lease,
  scan,
  open: opened,
  recovered: opened,
  http: { key: text, status: maybe(whole), bodyHash: maybe(text), p: maybe(whole), off: maybe(whole) },
  ledger: { sink: text, g: text, topic: text, key: textOrNull },
  assign: session,
  revoke: session,
  seek: session,
  replay: session,
  lose: lease,
  retained: { ...place, earliest: whole },
  fault: { name: text, state: (value) => value === 'on' || value === 'off' },
  phase: { name: (value) => value === 'heal' || value === 'final' },
  died: { node: text },
}
const notes = new Set(['assign', 'revoke', 'seek', 'replay', 'lose', 'retained', 'fault', 'phase', 'died'])
const types = new Set(['invoke', 'ok', 'fail', 'info'])
const envelope: Shape = {
  i: whole,
  t: number,
  node: text,
  proc: text,
  sess: text,
  of: maybe(whole),
  err: maybe(text),
}

type Fields = Readonly<Record<string, unknown>>

/** Parses line number `line` (from 1) of a history. Throws a HistoryFormatError that names line and field. */
export function parseHistoryLine(source: string, line: number): HistoryEvent {
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch {
    throw new HistoryFormatError(line, 'not JSON')
  }
  const record = fieldsOf(value, line, 'the line')
  require(record, envelope, line, '')
  const { f, type, v } = record
  if (typeof f !== 'string' || !Object.hasOwn(callShapes, f))
    throw new HistoryFormatError(line, `f is ${shown(f)}, which is no kind of event`)
  if (typeof type !== 'string' || !types.has(type))
    throw new HistoryFormatError(line, `type is ${shown(type)}, not invoke, ok, fail or info`)
  if (notes.has(f) && type !== 'info') throw new HistoryFormatError(line, `${f} is a note: its type is info`)
  if (type === 'invoke' || notes.has(f)) checkCall(f, fieldsOf(v, line, 'v'), line)
  else if (v !== undefined) checkReply(f, type, fieldsOf(v, line, 'v'), line)
  else if (type === 'ok' && (f === 'publish' || f === 'tx' || f === 'publishMany'))
    throw new HistoryFormatError(line, `an ok ${f} says where it is: v is missing`)
  return record as unknown as HistoryEvent
}

/** The same check for an event that never was text. */
export function checkEvent(event: unknown, line: number): HistoryEvent {
  return parseHistoryLine(JSON.stringify(event), line)
}

function checkCall(f: string, v: Fields, line: number): void {
  require(v, callShapes[f]!, line, 'v.')
  if (f !== 'tx' && f !== 'publishMany') return
  for (const [index, item] of asList(v.micro).entries()) {
    const micro = fieldsOf(item, line, `v.micro[${index}]`)
    if (micro.f !== 'send' && micro.f !== 'poll')
      throw new HistoryFormatError(line, `v.micro[${index}].f is ${shown(micro.f)}, not send or poll`)
    require(micro, micro.f === 'send' ? sent : { topic: text }, line, `v.micro[${index}].`)
  }
  if (v.commit !== undefined) require(fieldsOf(v.commit, line, 'v.commit'), step, line, 'v.commit.')
}

function checkReply(f: string, type: string, v: Fields, line: number): void {
  if (f === 'publish') {
    if (type === 'ok') require(v, placed, line, 'v.')
  } else if (f === 'poll') checkPolled(v, line, 'v.')
  else if (f === 'tx' || f === 'publishMany') {
    require(v, { micro: list }, line, 'v.')
    for (const [index, item] of asList(v.micro).entries()) {
      const micro = fieldsOf(item, line, `v.micro[${index}]`)
      if ('recs' in micro) checkPolled(micro, line, `v.micro[${index}].`)
      else if (type === 'ok') require(micro, placed, line, `v.micro[${index}].`)
    }
  } else requireSome(v, callShapes[f]!, line)
}

function checkPolled(v: Fields, line: number, path: string): void {
  const recs = fieldsOf(v.recs, line, `${path}recs`)
  for (const partition of Object.keys(recs)) {
    if (!/^\d+$/.test(partition))
      throw new HistoryFormatError(line, `${path}recs.${partition} is no partition`)
    for (const item of asList(recs[partition])) {
      if (!isPolledRecord(item))
        throw new HistoryFormatError(
          line,
          `${path}recs.${partition} holds ${shown(item)}, not [off,id,val,crc]`,
        )
    }
  }
}

function isPolledRecord(item: unknown): boolean {
  if (!Array.isArray(item)) return false
  const [off, id, val, crc, key] = item
  return (
    whole(off) &&
    textOrNull(id) &&
    text(val) &&
    (crc === null || maybe(number)(crc)) &&
    maybe(textOrNull)(key)
  )
}

function require(fields: Fields, shape: Shape, line: number, path: string): void {
  for (const name in shape) {
    if (!shape[name]!(fields[name]))
      throw new HistoryFormatError(line, `${path}${name} is ${shown(fields[name])}`)
  }
}

/** A reply may leave out what its call said. */
function requireSome(fields: Fields, shape: Shape, line: number): void {
  for (const name in shape) {
    if (fields[name] !== undefined && !shape[name]!(fields[name]))
      throw new HistoryFormatError(line, `v.${name} is ${shown(fields[name])}`)
  }
}

function fieldsOf(value: unknown, line: number, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new HistoryFormatError(line, `${what} is ${shown(value)}, not an object`)
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

const shownCharsMax = 60

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const source = JSON.stringify(value)
  return source.length > shownCharsMax ? `${source.slice(0, shownCharsMax)}…` : source
}
