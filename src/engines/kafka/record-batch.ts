import { SemelError } from '../../errors.ts'
import { decompressed } from './decompress.ts'
import { EventHeaders, type LogRecord, memoryOf } from './log-record.ts'

/** What a broker tells of a transaction that was aborted: whose, and where its first record of the partition is. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface DecodedRecords {
  readonly records: readonly LogRecord[]
  /** Where to read on: behind markers and aborted records too. */
  readonly next: number
}

const headerBytes = 61
const transactionalBit = 0x10
const controlBit = 0x20
const appendTimeBit = 0x08
const codecBits = 0x07
const abortMarker = 0

/**
 * The records of a fetch answer's batches (format 2, of Kafka since 0.11) from `from` on, as a reader of committed
 * records sees them: without markers, and without what was aborted. Stops at `bounds`, after one record at least.
 */
export function decodeBatches(
  bytes: Buffer,
  from: number,
  aborted: readonly AbortedTransaction[],
  bounds: RecordBounds,
): DecodedRecords {
  const isAborted = abortsOf(aborted)
  const taken = new Taken(bounds)
  let next = from
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8)
    // An answer may end in the middle of a batch.
    if (end > bytes.length) break
    const batch = bytes.subarray(at, end)
    const header = headerOf(batch)
    at = end
    if (header.last < from) continue
    next = isAborted(header, batch) ? header.last + 1 : decodeInto(taken, batch, header, from)
    if (taken.isFull) break
  }
  return { records: taken.records, next }
}

/** How much is made into objects. */
export interface RecordBounds {
  readonly recordsMax: number
  /** About, of this process's memory. */
  readonly bytesMax: number
}

class Taken {
  readonly records: LogRecord[] = []
  readonly #recordsMax: number
  #bytesLeft: number

  constructor({ bytesMax, recordsMax }: RecordBounds) {
    this.#recordsMax = recordsMax
    this.#bytesLeft = bytesMax
  }

  get isFull(): boolean {
    const { length } = this.records
    return length >= this.#recordsMax || (length > 0 && this.#bytesLeft <= 0)
  }

  add(record: LogRecord): void {
    this.records.push(record)
    this.#bytesLeft -= memoryOf(record)
  }
}

interface BatchHeader {
  readonly first: number
  readonly last: number
  readonly attributes: number
  readonly firstTime: number
  readonly lastTime: number
  readonly producerId: number
  readonly count: number
}

function headerOf(batch: Buffer): BatchHeader {
  const magic = batch[16]
  if (magic !== 2)
    throw new SemelError('ENGINE_FAILED', `a batch of records has the format ${magic} of Kafka before 0.11`)
  const first = Number(batch.readBigInt64BE(0))
  return {
    first,
    last: first + batch.readInt32BE(23),
    attributes: batch.readInt16BE(21),
    firstTime: Number(batch.readBigInt64BE(27)),
    lastTime: Number(batch.readBigInt64BE(35)),
    producerId: Number(batch.readBigInt64BE(43)),
    count: batch.readInt32BE(57),
  }
}

/**
 * Tells, batch by batch in their order, which show no records: markers, and those of a transaction that was aborted. One
 * begins at its first offset and ends with its producer's marker.
 */
function abortsOf(aborted: readonly AbortedTransaction[]): (header: BatchHeader, batch: Buffer) => boolean {
  const begin = [...aborted].sort((one, other) => one.firstOffset - other.firstOffset)
  const open = new Set<number>()
  return ({ attributes, last, producerId }, batch) => {
    while (begin[0] !== undefined && begin[0].firstOffset <= last) open.add(begin.shift()!.producerId)
    if ((attributes & controlBit) !== 0) {
      if (markerOf(batch) === abortMarker) open.delete(producerId)
      return true
    }
    return (attributes & transactionalBit) !== 0 && open.has(producerId)
  }
}

/** The kind of a marker is in its key, behind a version. */
function markerOf(batch: Buffer): number {
  const fields = new Fields(batch, headerBytes)
  fields.varint() // length
  fields.at += 1 // attributes
  fields.varint() // time
  fields.varint() // offset
  fields.varint() // length of the key
  return batch.readInt16BE(fields.at + 2)
}

/** Takes what there is room for, and answers where to read on. */
function decodeInto(
  taken: Taken,
  batch: Buffer,
  { first, last, attributes, firstTime, lastTime, count }: BatchHeader,
  from: number,
): number {
  const codec = attributes & codecBits
  const fields =
    codec === 0
      ? new Fields(batch, headerBytes)
      : new Fields(decompressed(codec, batch.subarray(headerBytes)), 0)
  const appendTime = (attributes & appendTimeBit) !== 0 ? lastTime : undefined
  for (let i = 0; i < count; i++) {
    const length = fields.varint()
    const end = fields.at + length
    fields.at += 1 // attributes
    const time = fields.varint()
    const offset = first + fields.varint()
    if (offset >= from) {
      if (taken.isFull) return offset
      taken.add(fields.record(offset, appendTime ?? firstTime + time))
    }
    fields.at = end
  }
  return last + 1
}

/** Where the headers of most records are: comparing a name is cheaper than making it. */
const usualNames = ['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_time', 'content-type']
const usualBytes = usualNames.map((name) => Buffer.from(name))

/** The fields of records, one after another. */
class Fields {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** A signed number in the zigzag form. */
  varint(): number {
    const first = this.#bytes[this.at++]!
    if (first < 0x80) return (first >>> 1) ^ -(first & 1)
    let value = first & 0x7f
    for (let factor = 0x80; ; factor *= 0x80) {
      const byte = this.#bytes[this.at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  record(offset: number, timestamp: number): LogRecord {
    const key = this.#slice()
    const value = this.#slice()
    return { offset, timestamp, key: key === null ? null : key.toString(), value, headers: this.#headers() }
  }

  #slice(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const from = this.at
    this.at += length
    return this.#bytes.subarray(from, this.at)
  }

  #headers(): EventHeaders | undefined {
    const count = this.varint()
    if (count === 0) return undefined
    const headers = new EventHeaders()
    for (let i = 0; i < count; i++) {
      const name = this.#headerName(i)
      headers.add(name, this.#slice() ?? noBytes)
    }
    return headers
  }

  #headerName(index: number): string {
    const length = this.varint()
    const from = this.at
    this.at += length
    const usual = usualBytes[index]
    if (usual !== undefined && this.#holds(usual, from, length)) return usualNames[index]!
    return this.#bytes.toString('utf8', from, this.at)
  }

  #holds(text: Buffer, from: number, length: number): boolean {
    if (text.length !== length) return false
    for (let i = length - 1; i >= 0; i--) if (this.#bytes[from + i] !== text[i]) return false
    return true
  }
}

const noBytes = Buffer.alloc(0)
