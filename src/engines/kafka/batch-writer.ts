import { crc32c } from './crc32c.ts'
import { kafkaLimits } from './kafka-limits.ts'

/** Records of one partition in the form in which they are sent and stored. Whose they are is written in when they are sent. */
export interface RecordBatch {
  readonly bytes: Buffer
  readonly count: number
}

/** Name and value of a record's header. */
export type TextHeader = readonly [name: string, value: string]

/** Where the fields of a batch are (https://kafka.apache.org/documentation/#recordbatch). */
const field = {
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  sum: 17,
  attributes: 21,
  lastDelta: 23,
  firstTime: 27,
  lastTime: 35,
  producerId: 43,
  producerEpoch: 51,
  sequence: 53,
  count: 57,
  records: 61,
} as const
const format = 2
const transactionalBit = 0x10
/** Most records are between 64 bytes and 8 KiB, whose length takes two. */
const usualLengthBytes = 2
const varintBytesMax = 5
const charBytesMax = 3
/** Below this many characters, a loop is faster than a call. */
const shortChars = 48

/** Writes batches of format 2 one after another into the same memory. Numbers are varints in the zigzag form. */
export class BatchWriter {
  #bytes = Buffer.allocUnsafe(kafkaLimits.batchBytesMax / 4)
  #at = 0
  #count = 0
  #start = 0

  begin(now: number): void {
    if (this.#bytes.length > 2 * kafkaLimits.batchBytesMax)
      this.#bytes = Buffer.allocUnsafe(kafkaLimits.batchBytesMax / 4)
    this.#bytes.fill(0, 0, field.records)
    this.#bytes.writeInt32BE(-1, field.leaderEpoch)
    this.#bytes[field.magic] = format
    const time = BigInt(now)
    this.#bytes.writeBigInt64BE(time, field.firstTime)
    this.#bytes.writeBigInt64BE(time, field.lastTime)
    this.#at = field.records
    this.#count = 0
  }

  get count(): number {
    return this.#count
  }

  get size(): number {
    return this.#at
  }

  /** A record's beginning; value and headers follow, in this order, and then `close`. */
  open(key: string | null): void {
    this.#start = this.#at
    this.#need(usualLengthBytes + 2 * varintBytesMax)
    this.#at += usualLengthBytes
    this.#bytes[this.#at++] = 0 // attributes
    this.#bytes[this.#at++] = 0 // time after the first one's
    this.number(this.#count)
    if (key === null) this.number(-1)
    else this.text(key)
  }

  close(): void {
    const from = this.#start
    const length = this.#at - from - usualLengthBytes
    this.#moveBehind(from, length, usualLengthBytes, length)
    this.#count += 1
  }

  /** Undoes the last record. */
  drop(): void {
    this.#at = this.#start
    this.#count -= 1
  }

  /** The batch, in memory of its own. */
  end(): RecordBatch {
    const bytes = Buffer.allocUnsafeSlow(this.#at)
    this.#bytes.copy(bytes, 0, 0, this.#at)
    bytes.writeInt32BE(bytes.length - field.leaderEpoch, field.length)
    bytes.writeInt32BE(this.#count - 1, field.lastDelta)
    bytes.writeInt32BE(this.#count, field.count)
    return { bytes, count: this.#count }
  }

  number(value: number): void {
    this.#need(varintBytesMax)
    let rest = value < 0 ? -2 * value - 1 : 2 * value
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
  }

  /** Its length in bytes and the text. Most have as many bytes as characters: where not, the text is moved. */
  text(value: string): void {
    const { length } = value
    this.#need(2 * varintBytesMax + charBytesMax * length)
    const from = this.#at
    this.number(length)
    const lengthBytes = this.#at - from
    const written = this.#write(value)
    this.#at += written
    if (written !== length) this.#moveBehind(from, written, lengthBytes, written)
  }

  bytes(value: Uint8Array): void {
    this.number(value.length)
    this.plain(value)
  }

  /** As they are, without a length. */
  plain(value: Uint8Array): void {
    this.#need(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  #write(value: string): number {
    const { length } = value
    if (length > shortChars) return this.#bytes.write(value, this.#at)
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return this.#bytes.write(value, this.#at)
      this.#bytes[this.#at + i] = code
    }
    return length
  }

  /** Writes a number at `from`, where there is room for `room` bytes of it before the `length` bytes that belong to it. */
  #moveBehind(from: number, value: number, room: number, length: number): void {
    this.#at = from
    const size = value < 0x40 ? 1 : value < 0x2000 ? 2 : value < 0x10_0000 ? 3 : value < 0x800_0000 ? 4 : 5
    if (size !== room) {
      this.#need(size + length)
      this.#bytes.copyWithin(from + size, from + room, from + room + length)
    }
    this.number(value)
    this.#at += length
  }

  #need(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#bytes.length)
    this.#bytes = larger
  }
}

/** Headers as they are in a record, without their count. */
export function headerBytes(headers: readonly TextHeader[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [sizedText(name), sizedText(value)]))
}

/** As `text` writes it. */
export function sizedText(text: string): Buffer {
  const bytes = Buffer.from(text)
  const size: number[] = []
  let rest = 2 * bytes.length
  for (; rest > 0x7f; rest >>>= 7) size.push((rest & 0x7f) | 0x80)
  return Buffer.concat([Buffer.from([...size, rest]), bytes])
}

/** Who writes, and which of its records for a partition is the batch's first one: brokers know a repeated batch by it. */
export interface Signature {
  readonly producerId: number
  readonly epoch: number
  readonly sequence: number
  readonly isTransactional: boolean
}

export function sign(
  { bytes }: RecordBatch,
  { producerId, epoch, sequence, isTransactional }: Signature,
): void {
  bytes.writeInt16BE(isTransactional ? transactionalBit : 0, field.attributes)
  bytes.writeBigInt64BE(BigInt(producerId), field.producerId)
  bytes.writeInt16BE(epoch, field.producerEpoch)
  bytes.writeInt32BE(sequence, field.sequence)
  bytes.writeUInt32BE(crc32c(bytes, field.attributes), field.sum)
}

const sequences = 2 ** 31

/** Sequence numbers begin anew behind the largest one. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % sequences
}
