import { BrokerConnection } from '../../../src/engines/kafka/broker-connection.ts'
import { BrokerError } from '../../../src/engines/kafka/broker-error.ts'
import type { Ask } from '../../../src/engines/kafka/broker-questions.ts'
import { addGroup, commitOffsets, type Transactor } from '../../../src/engines/kafka/producer-questions.ts'
import { type Reader, type WireRequest, wire } from '../../../src/engines/kafka/wire.ts'
import { realPlatform } from '../../../src/platform/real-platform.ts'
import { until } from '../../support/until.ts'

const transactional = 0x10
/** The coordinator is loading, is not there yet, is another one, or still ends the transaction before. */
const passing = [14, 15, 16, 51]
const noAccess = { tls: undefined, sasl: undefined }

/**
 * A transactional producer that does what it is told, request by request, each over a connection of its own: also what
 * no real client does, such as going on under the same epoch after a lost answer. Resolves to Kafka's error code, 0 for none.
 * It speaks the versions from before KIP-890's second part, as many clients do.
 */
export class RawProducer {
  readonly #port: number
  readonly #id: string
  #producerId = -1
  #epoch = -1
  #sequence = 0

  constructor(port: number, id: string) {
    this.#port = port
    this.#id = id
  }

  /** InitProducerId: ends what is open under this id and fences whoever had it. */
  async init(): Promise<void> {
    const body = Buffer.concat([
      wire.text(this.#id),
      wire.int32(60_000),
      wire.int64(-1),
      int16(-1),
      wire.noTags,
    ])
    await until(async () => {
      const answer = await this.#ask(22, 3, body)
      answer.int32()
      const code = answer.int16()
      if (code !== 0 && !passing.includes(code)) throw new Error(`InitProducerId: error ${code}`)
      this.#producerId = answer.int64()
      this.#epoch = answer.int16()
      return code === 0
    })
    this.#sequence = 0
  }

  /** AddPartitionsToTxn, of partition 0. */
  async add(topic: string): Promise<number> {
    const partitions = wire.array([wire.int32(0)])
    const topics = wire.array([Buffer.concat([wire.text(topic), partitions, wire.noTags])])
    const answer = await this.#ask(24, 3, Buffer.concat([this.#identity, topics, wire.noTags]))
    answer.int32()
    const [codes] = answer.array(() => {
      answer.text()
      return answer.array(() => {
        answer.int32()
        const code = answer.int16()
        answer.tags()
        return code
      })
    })
    return codes![0]!
  }

  async produce(topic: string, value: string): Promise<number> {
    const batch = batchOf(value, this.#producerId, this.#epoch, this.#sequence++)
    const partition = Buffer.concat([wire.int32(0), wire.bytes(batch), wire.noTags])
    const topics = wire.array([Buffer.concat([wire.text(topic), wire.array([partition]), wire.noTags])])
    const body = Buffer.concat([wire.text(this.#id), int16(-1), wire.int32(30_000), topics, wire.noTags])
    const answer = await this.#ask(0, 9, body)
    const [codes] = answer.array(() => {
      answer.text()
      return answer.array(() => {
        answer.int32()
        const code = answer.int16()
        answer.int64()
        answer.int64()
        answer.int64()
        answer.array(() => {
          answer.int32()
          answer.text()
          answer.tags()
        })
        answer.text()
        answer.tags()
        return code
      })
    })
    return codes![0]!
  }

  /** AddOffsetsToTxn. */
  addGroup(group: string): Promise<number> {
    return this.#codeOf((ask) => addGroup(ask, this.#transactor, group))
  }

  /** TxnOffsetCommit, of partition 0, in the name of no member: a group without members takes that. */
  commitOffset(group: string, topic: string, offset: number): Promise<number> {
    const nobody = { memberId: '', epoch: -1 }
    const offsets = [{ topic, partition: 0, offset }]
    return this.#codeOf((ask) => commitOffsets(ask, this.#transactor, group, nobody, offsets))
  }

  /** EndTxn. */
  async end(how: 'commit' | 'abort'): Promise<number> {
    const body = Buffer.concat([this.#identity, wire.int8(how === 'commit' ? 1 : 0), wire.noTags])
    const answer = await this.#ask(26, 3, body)
    answer.int32()
    return answer.int16()
  }

  get #transactor(): Transactor {
    return { transactionalId: this.#id, producerId: this.#producerId, epoch: this.#epoch }
  }

  async #codeOf(question: (ask: Ask) => Promise<void>): Promise<number> {
    try {
      await question((request) => this.#send(request))
      return 0
    } catch (error) {
      if (error instanceof BrokerError && error.code > 0) return error.code
      throw error
    }
  }

  get #identity(): Buffer {
    return Buffer.concat([wire.text(this.#id), wire.int64(this.#producerId), int16(this.#epoch)])
  }

  #ask(apiKey: number, version: number, body: Buffer): Promise<Reader> {
    return this.#send({ apiKey, version, body })
  }

  async #send(request: WireRequest): Promise<Reader> {
    const place = { host: '127.0.0.1', port: this.#port }
    const connection = await BrokerConnection.open(realPlatform, place, noAccess, 60_000)
    try {
      return await connection.ask(request)
    } finally {
      connection.close()
    }
  }
}

/** A record batch of one record (https://kafka.apache.org/documentation/#recordbatch). */
function batchOf(value: string, producerId: number, epoch: number, sequence: number): Buffer {
  const text = Buffer.from(value)
  // Attributes, deltas of time and offset, no key, the value, no headers.
  const fields = Buffer.concat([Buffer.from([0, 0, 0]), zigzag(-1), zigzag(text.length), text, zigzag(0)])
  const now = wire.int64(Date.now())
  const checked = Buffer.concat([
    int16(transactional),
    wire.int32(0),
    now,
    now,
    wire.int64(producerId),
    int16(epoch),
    wire.int32(sequence),
    wire.int32(1),
    zigzag(fields.length),
    fields,
  ])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32c(checked))
  const rest = Buffer.concat([wire.int32(-1), wire.int8(2), sum, checked])
  return Buffer.concat([wire.int64(0), wire.int32(rest.length), rest])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** Of numbers from -64 to 8191. */
function zigzag(value: number): Buffer {
  const code = value < 0 ? -2 * value - 1 : 2 * value
  return code < 0x80 ? Buffer.from([code]) : Buffer.from([(code & 0x7f) | 0x80, code >> 7])
}

const castagnoli = 0x82f63b78

function crc32c(bytes: Buffer): number {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ castagnoli : sum >>> 1
  }
  return (sum ^ 0xffffffff) >>> 0
}
