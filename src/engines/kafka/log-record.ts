import { attributeNames } from '../../event/event.ts'
import type { Message } from './client-types.ts'
import { kindHeader } from './encode-event.ts'

/**
 * A record as it is kept until somebody reads it: the client gives each header as an object with a Buffer of its own, and
 * nine Buffers a record cost far more to keep than to turn into texts at once.
 */
export interface LogRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: Buffer | null
  /** `undefined`: it had none. */
  readonly headers: EventHeaders | undefined
}

export function recordOf({ offset, timestamp, key, value, headers }: Message): LogRecord {
  return {
    offset,
    timestamp,
    key: key === null ? null : key.toString(),
    value,
    headers: headers === undefined ? undefined : headersOf(headers),
  }
}

/** Headers of the optional attributes; the content type has a name of its own. */
const attributeHeaders: ReadonlyMap<string, (typeof attributeNames)[number]> = new Map(
  attributeNames.filter((name) => name !== 'datacontenttype').map((name) => [`ce_${name}`, name]),
)

/** Most records have the text of the one before: comparing its bytes costs a fraction of making it. */
class LastText {
  #bytes: Buffer = Buffer.alloc(0)
  #text = ''

  of(bytes: Buffer): string {
    if (!isSame(bytes, this.#bytes)) {
      // Its own bytes: these are part of a broker's whole answer.
      this.#bytes = Buffer.from(bytes)
      this.#text = bytes.toString()
    }
    return this.#text
  }
}

function isSame(one: Buffer, other: Buffer): boolean {
  if (one.length !== other.length) return false
  // From the end: times differ there.
  for (let i = one.length - 1; i >= 0; i--) if (one[i] !== other[i]) return false
  return true
}

const lastSource = new LastText()
const lastType = new LastText()
const lastTime = new LastText()
const lastContentType = new LastText()

/** Those headers that mean something to us. */
export class EventHeaders {
  isEvent = false
  id: string | undefined
  source: string | undefined
  type: string | undefined
  time: string | undefined
  contentType: string | undefined
  kind: string | undefined
  attributes: Record<string, string | number> | undefined

  add(name: string, value: Buffer): void {
    switch (name) {
      case 'ce_specversion':
        this.isEvent = true
        break
      case 'ce_id':
        this.id = value.toString()
        break
      case 'ce_source':
        this.source = lastSource.of(value)
        break
      case 'ce_type':
        this.type = lastType.of(value)
        break
      case 'ce_time':
        this.time = lastTime.of(value)
        break
      case 'content-type':
        this.contentType = lastContentType.of(value)
        break
      case kindHeader:
        this.kind = value.toString()
        break
      default:
        this.#addAttribute(attributeHeaders.get(name), value)
    }
  }

  #addAttribute(name: (typeof attributeNames)[number] | undefined, value: Buffer): void {
    if (name === undefined) return
    const text = value.toString()
    this.attributes ??= {}
    this.attributes[name] = name === 'producersequence' ? Number(text) : text
  }
}

/** Where the headers of most records are: asking for a name is cheaper than asking which one there is. */
const usualNames = ['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_time', 'content-type']

function headersOf(headers: NonNullable<Message['headers']>): EventHeaders {
  const known = new EventHeaders()
  for (let i = 0; i < headers.length; i++) {
    const header = headers[i]!
    const usual = i < usualNames.length ? header[usualNames[i]!] : undefined
    if (usual !== undefined) known.add(usualNames[i]!, usual)
    else for (const name in header) known.add(name, header[name]!)
  }
  return known
}

/** A record with the headers of an event: objects, texts and the client's Buffer of its value. */
const recordObjectsBytes = 800
const attributeBytesAbout = 300

/** Of this process's memory, about. */
export function memoryOf(record: LogRecord): number {
  const attributes = record.headers?.attributes
  const attributesBytes = attributes === undefined ? 0 : attributeBytesAbout * Object.keys(attributes).length
  return sizeOf(record) + recordObjectsBytes + attributesBytes
}

const headerBytesAbout = 200

/** What a read counts: keys, values, and some for the rest. */
export function sizeOf({ key, value }: LogRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headerBytesAbout
}
