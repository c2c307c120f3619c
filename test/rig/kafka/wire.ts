import { createConnection, type Socket } from 'node:net'

/**
 * Kafka's own protocol, as much as is needed to ask a broker what librdkafka's Node binding cannot ask. One request per
 * connection, loopback, no TLS, no SASL. All versions used here are flexible ones: compact lengths and tag sections.
 */
export async function askBroker(port: number, request: WireRequest, timeoutMs = 5_000): Promise<Reader> {
  const socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
  try {
    socket.setTimeout(timeoutMs, () =>
      socket.destroy(new Error(`broker ${port} is silent for ${timeoutMs} ms`)),
    )
    socket.write(frameOf(request))
    const answer = new Reader(await readFrame(socket))
    answer.int32() // correlation id: there is only one request
    answer.tags()
    return answer
  } finally {
    socket.destroy()
  }
}

export interface WireRequest {
  readonly apiKey: number
  readonly version: number
  readonly body: Buffer
}

function frameOf({ apiKey, version, body }: WireRequest): Buffer {
  const clientId = Buffer.from('semel-rig')
  const header = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 1)
  header.writeInt32BE(header.length - 4 + body.length, 0)
  header.writeInt16BE(apiKey, 4)
  header.writeInt16BE(version, 6)
  header.writeInt32BE(1, 8)
  header.writeInt16BE(clientId.length, 12)
  clientId.copy(header, 14)
  return Buffer.concat([header, body])
}

function readFrame(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the broker closed the connection')))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      if (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) resolve(bytes.subarray(4))
    })
  })
}

/** Reads an answer field by field, in the order of Kafka's message definitions. */
export class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
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
  array: (items: readonly Buffer[] | undefined) =>
    Buffer.concat([varint(items === undefined ? 0 : items.length + 1), ...(items ?? [])]),
  noTags: Buffer.from([0]),
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) | 0x80)
  }
}
