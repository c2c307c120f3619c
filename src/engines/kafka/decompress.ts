import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { SemelError } from '../../errors.ts'
import { kafkaLimits } from './kafka-limits.ts'

/**
 * The records of a compressed batch. Codes as in a batch's attributes.
 *
 * @throws SemelError ENGINE_FAILED if they are not what the codec says, or more than `decompressedBytesMax`.
 */
export function decompressed(codec: number, bytes: Buffer): Buffer {
  const decode = codecs[codec]
  if (decode === undefined)
    throw new SemelError('ENGINE_FAILED', `records are compressed with an unknown codec ${codec}`)
  try {
    return decode(bytes)
  } catch (cause) {
    const limit = kafkaLimits.decompressedBytesMax
    throw new SemelError(
      'ENGINE_FAILED',
      `a batch of records does not decompress to at most ${limit} bytes`,
      {
        limit,
        cause,
      },
    )
  }
}

const bounds = { maxOutputLength: kafkaLimits.decompressedBytesMax }

const codecs: Readonly<Record<number, (bytes: Buffer) => Buffer>> = {
  1: (bytes) => gunzipSync(bytes, bounds),
  2: (bytes) => (isFramed(bytes) ? framedSnappy(bytes) : snappy(bytes)),
  3: lz4Frame,
  4: (bytes) => zstdDecompressSync(bytes, bounds),
}

/** Java's producer puts blocks behind a header of this name. */
const snappyFrame = Buffer.from('\x82SNAPPY\0', 'latin1')

function isFramed(bytes: Buffer): boolean {
  return bytes.subarray(0, snappyFrame.length).equals(snappyFrame)
}

function framedSnappy(bytes: Buffer): Buffer {
  const blocks: Buffer[] = []
  let size = 0
  for (let at = 16; at < bytes.length; ) {
    const length = bytes.readInt32BE(at)
    const block = snappy(bytes.subarray(at + 4, at + 4 + length))
    size += block.length
    if (size > kafkaLimits.decompressedBytesMax) throw corrupt()
    blocks.push(block)
    at += 4 + length
  }
  return Buffer.concat(blocks)
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
function snappy(bytes: Buffer): Buffer {
  let at = 0
  let size = 0
  for (let factor = 1; ; factor *= 0x80) {
    const byte = bytes.readUInt8(at++)
    size += (byte & 0x7f) * factor
    if (byte < 0x80) break
  }
  const out = new Output(size)
  while (at < bytes.length) {
    const tag = bytes.readUInt8(at++)
    const kind = tag & 3
    if (kind === 0) {
      let length = tag >> 2
      if (length >= 60) {
        const width = length - 59
        length = bytes.readUIntLE(at, width)
        at += width
      }
      at = out.literal(bytes, at, length + 1)
    } else if (kind === 1) {
      out.repeat(((tag >> 5) << 8) | bytes.readUInt8(at++), ((tag >> 2) & 7) + 4)
    } else {
      const width = kind === 2 ? 2 : 4
      out.repeat(bytes.readUIntLE(at, width), (tag >> 2) + 1)
      at += width
    }
  }
  return out.bytes
}

const lz4Magic = 0x184d2204

/** https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, without its checksums: the batch has one of its own. */
function lz4Frame(bytes: Buffer): Buffer {
  if (bytes.readUInt32LE(0) !== lz4Magic) throw corrupt()
  const flags = bytes.readUInt8(4)
  const hasBlockSums = (flags & 0x10) !== 0
  const hasSize = (flags & 0x08) !== 0
  const out = new Output(Math.min(bytes.length * 4, kafkaLimits.decompressedBytesMax))
  let at = 4 + 2 + (hasSize ? 8 : 0) + 1
  for (;;) {
    const word = bytes.readUInt32LE(at)
    at += 4
    if (word === 0) return out.bytes
    const length = word & 0x7fffffff
    const isPlain = word >>> 31 === 1
    if (isPlain) out.literal(bytes, at, length)
    else lz4Block(bytes.subarray(at, at + length), out)
    at += length + (hasBlockSums ? 4 : 0)
  }
}

function lz4Block(bytes: Buffer, out: Output): void {
  let at = 0
  const extended = (length: number): number => {
    if (length < 15) return length
    for (let total = length; ; ) {
      const byte = bytes.readUInt8(at++)
      total += byte
      if (byte < 255) return total
    }
  }
  while (at < bytes.length) {
    const token = bytes.readUInt8(at++)
    const literal = extended(token >> 4)
    at = out.literal(bytes, at, literal)
    // The last sequence is literals alone.
    if (at >= bytes.length) return
    const back = bytes.readUInt16LE(at)
    at += 2
    out.repeat(back, extended(token & 15) + 4)
  }
}

/** Grows as it is written to. */
class Output {
  #bytes: Buffer
  #length = 0

  constructor(sizeAbout: number) {
    if (sizeAbout > kafkaLimits.decompressedBytesMax) throw corrupt()
    this.#bytes = Buffer.allocUnsafe(Math.max(64, sizeAbout))
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Answers where the input goes on. */
  literal(from: Buffer, at: number, length: number): number {
    if (at + length > from.length) throw corrupt()
    this.#reserve(length)
    from.copy(this.#bytes, this.#length, at, at + length)
    this.#length += length
    return at + length
  }

  /** Bytes from `back` before the end once more; they may overlap with what is being written. */
  repeat(back: number, length: number): void {
    if (back === 0 || back > this.#length) throw corrupt()
    this.#reserve(length)
    const bytes = this.#bytes
    for (let to = this.#length, end = to + length; to < end; to++) bytes[to] = bytes[to - back]!
    this.#length += length
  }

  #reserve(length: number): void {
    const wanted = this.#length + length
    if (wanted <= this.#bytes.length) return
    if (wanted > kafkaLimits.decompressedBytesMax) throw corrupt()
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

function corrupt(): Error {
  return new RangeError('compressed records end where they should not')
}
