import { attributeNames, type EventAttributes, type EventRecord } from '../../event/event.ts'
import { BatchWriter, headerBytes, type RecordBatch, sizedText, type TextHeader } from './batch-writer.ts'
import type { OutgoingRecord } from './delivery.ts'
import {
  bareData,
  type ContentMode,
  type DataKind,
  isStructurable,
  kindHeader,
  kindOf,
  saidOf,
  structuredText,
  structuredType,
  timeText,
} from './encode-event.ts'
import { kafkaLimits } from './kafka-limits.ts'

/** A batch and which of the records that were given is its first one. */
export interface PartBatch extends RecordBatch {
  readonly from: number
}

/** Records of one partition as they are sent: usually one batch. What is too large for a broker is in none. */
export interface BatchedRecords {
  readonly batches: readonly PartBatch[]
  readonly tooLarge: readonly number[]
}

/** Writes one record: its key, value and headers. */
type Write<T> = (writer: BatchWriter, record: T) => void

/** One for all: nothing is written over several turns. */
const writer = new BatchWriter()

/** What `encoderOf` of `encode-event.ts` makes of events, byte for byte, without an object for a record or a header. */
export function batcherOf(
  mode: ContentMode,
): (records: readonly EventRecord[], now: number) => BatchedRecords {
  const write: Write<EventRecord> =
    mode === 'binary'
      ? writeBinary
      : (to, record) => (isStructurable(record) ? writeStructured(to, record) : writeBinary(to, record))
  return (records, now) => batched(records, now, write)
}

/** Records of the log's own topics, which have no headers. */
export function batchBare(records: readonly OutgoingRecord[], now: number): BatchedRecords {
  return batched(records, now, writeBare)
}

function batched<T>(records: readonly T[], now: number, write: Write<T>): BatchedRecords {
  const batches: PartBatch[] = []
  const tooLarge: number[] = []
  writer.begin(now)
  for (let i = 0; i < records.length; i++) {
    write(writer, records[i]!)
    if (writer.size <= kafkaLimits.batchBytesMax) continue
    if (writer.count > 1) {
      writer.drop()
      batches.push({ ...writer.end(), from: i - writer.count })
      writer.begin(now)
      write(writer, records[i]!)
    }
    if (writer.size <= kafkaLimits.recordBytesMax) continue
    writer.drop()
    tooLarge.push(i)
  }
  if (writer.count > 0) batches.push({ ...writer.end(), from: records.length - writer.count })
  return { batches, tooLarge }
}

function writeBare(to: BatchWriter, { key, value }: OutgoingRecord): void {
  to.open(key)
  if (value === null) to.number(-1)
  else writeData(to, value)
  to.number(0)
  to.close()
}

function writeData(to: BatchWriter, data: string | Uint8Array): void {
  if (typeof data === 'string') to.text(data)
  else to.bytes(data)
}

const structuredHeader = headerBytes([['content-type', structuredType]])

function writeStructured(to: BatchWriter, record: EventRecord): void {
  to.open(record.key)
  to.text(structuredText(record))
  to.number(1)
  to.plain(structuredHeader)
  to.close()
}

/** What comes before the id. */
const firstHeaders = Buffer.concat([headerBytes([['ce_specversion', '1.0']]), sizedText('ce_id')])
const firstHeaderCount = 2

function writeBinary(to: BatchWriter, { id, source, type, time, key, data, attributes }: EventRecord): void {
  to.open(key)
  writeData(to, bareData(data))
  repeated.be(source, type, time, kindOf(data), attributes?.datacontenttype)
  to.number(firstHeaderCount + repeated.count + countOf(attributes))
  to.plain(firstHeaders)
  to.text(id)
  to.plain(repeated.bytes)
  if (attributes !== undefined) writeAttributes(to, attributes)
  to.close()
}

/** Most events have all headers but the id as the one before has them. */
class RepeatedHeaders {
  bytes: Buffer = Buffer.alloc(0)
  count = 0
  #source = ''
  #type = ''
  #time = Number.NaN
  #kind: DataKind | undefined
  #given: string | undefined

  be(source: string, type: string, time: number, kind: DataKind, given: string | undefined): void {
    const isSame = time === this.#time && kind === this.#kind && given === this.#given
    if (isSame && source === this.#source && type === this.#type) return
    this.#source = source
    this.#type = type
    this.#time = time
    this.#kind = kind
    this.#given = given
    const said = saidOf(kind, given)
    const headers: TextHeader[] = [
      ['ce_source', source],
      ['ce_type', type],
      ['ce_time', timeText(time)],
      ['content-type', said.contentType],
    ]
    if (said.kind !== undefined) headers.push([kindHeader, said.kind])
    this.bytes = headerBytes(headers)
    this.count = headers.length
  }
}

const repeated = new RepeatedHeaders()

/** `datacontenttype` has a header of another name. */
const attributeHeaders = attributeNames
  .filter((name) => name !== 'datacontenttype')
  .map((name) => ({ name, header: sizedText(`ce_${name}`) }))

function countOf(attributes: EventAttributes | undefined): number {
  if (attributes === undefined) return 0
  let count = 0
  for (const { name } of attributeHeaders) if (attributes[name] !== undefined) count += 1
  return count
}

function writeAttributes(to: BatchWriter, attributes: EventAttributes): void {
  for (const { name, header } of attributeHeaders) {
    const value = attributes[name]
    if (value === undefined) continue
    to.plain(header)
    to.text(String(value))
  }
}
