/** One request of Kafka's own protocol (https://kafka.apache.org/protocol), as far as librdkafka's Node binding cannot ask. */
export interface WireRequest {
  readonly apiKey: number
  readonly version: number
  /** In pieces where putting them together would copy much. */
  readonly body: Buffer | readonly Buffer[]
  /** Absent: this version has compact lengths and tag sections, in its headers too. `false`: it has not. */
  readonly flexible?: false
}

/** A request as it goes over the connection, its length first, in pieces. */
export function encodeRequest(
  { apiKey, version, body, flexible }: WireRequest,
  correlation: number,
  client: string,
): Buffer[] {
  const pieces: readonly Buffer[] = Buffer.isBuffer(body) ? [body] : body
  const bodyLength = pieces.reduce((sum, { length }) => sum + length, 0)
  const clientId = Buffer.from(client)
  const tags = flexible === false ? 0 : 1
  const header = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + tags)
  header.writeInt32BE(header.length - 4 + bodyLength, 0)
  header.writeInt16BE(apiKey, 4)
  header.writeInt16BE(version, 6)
  header.writeInt32BE(correlation, 8)
  header.writeInt16BE(clientId.length, 12)
  clientId.copy(header, 14)
  return joined([header, ...pieces])
}

/** Small pieces are put together, as each that is written costs a call; large ones stay as they are. */
function joined(pieces: readonly Buffer[]): Buffer[] {
  const all: Buffer[] = []
  let small: Buffer[] = []
  for (const piece of pieces) {
    if (piece.length < largePieceBytes) {
      small.push(piece)
      continue
    }
    all.push(Buffer.concat(small), piece)
    small = []
  }
  all.push(Buffer.concat(small))
  return all
}

const largePieceBytes = 4096

/** Reads an answer field by field, in the order of Kafka's message definitions. */
export class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** So many bytes as they are. */
  plain(length: number): Buffer {
    const from = this.#step(length)
    return this.#bytes.subarray(from, from + length)
  }
  int8(): number {
    return this.#bytes.readInt8(this.#step(1))
  }
  int16(): number {
    return this.#bytes.readInt16BE(this.#step(2))
  }
  int32(): number {
    return this.#bytes.readInt32BE(this.#step(4))
  }
  int64(): number {
    return Number(this.#bytes.readBigInt64BE(this.#step(8)))
  }
  boolean(): boolean {
    return this.int8() !== 0
  }
  text(): string | undefined {
    const length = this.#varint() - 1
    return length < 0 ? undefined : this.#bytes.toString('utf8', this.#step(length), this.#at)
  }
  /** As in versions that are not flexible. */
  shortText(): string {
    return this.#bytes.toString('utf8', this.#step(this.int16()), this.#at)
  }
  bytes(): Buffer {
    const length = Math.max(0, this.#varint() - 1)
    const from = this.#step(length)
    return this.#bytes.subarray(from, from + length)
  }
  /** As in versions that are not flexible: the length takes four bytes. */
  longArray<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, item)
  }
  array<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(0, this.#varint() - 1) }, item)
  }
  tags(): void {
    for (let left = this.#varint(); left > 0; left--) {
      this.#varint()
      this.#step(this.#varint())
    }
  }

  #step(length: number): number {
    const from = this.#at
    this.#at += length
    return from
  }
  #varint(): number {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#step(1))
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
}

export const wire = {
  int8: (value: number) => Buffer.from([value & 0xff]),
  int16(value: number): Buffer {
    const bytes = Buffer.alloc(2)
    bytes.writeInt16BE(value)
    return bytes
  },
  int32(value: number): Buffer {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  },
  int64(value: number): Buffer {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(BigInt(value))
    return bytes
  },
  text(value: string | undefined): Buffer {
    const bytes = Buffer.from(value ?? '')
    return value === undefined ? varint(0) : Buffer.concat([varint(bytes.length + 1), bytes])
  },
  /** As in versions that are not flexible. */
  shortText(value: string): Buffer {
    const bytes = Buffer.from(value)
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
  },
  bytes: (value: Buffer) => Buffer.concat([varint(value.length + 1), value]),
  array: (items: readonly Buffer[] | undefined) =>
    Buffer.concat([varint(items === undefined ? 0 : items.length + 1), ...(items ?? [])]),
  /** What an array of so many items, or of so many bytes, begins with. */
  arrayOf: (length: number) => varint(length + 1),
  noTags: Buffer.from([0]),
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) | 0x80)
  }
}
