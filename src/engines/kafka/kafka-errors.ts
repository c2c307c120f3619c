import { type ErrorCode, isSemelError, type Outcome, SemelError } from '../../errors.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly hint?: string
}

const unknownTopic: Meaning = { code: 'UNKNOWN_TOPIC', retryable: false }
const tooLarge: Meaning = {
  code: 'TOO_LARGE',
  retryable: false,
  hint: 'raise max.message.bytes of the topic, or publish smaller events',
}
const unavailable: Meaning = { code: 'ENGINE_UNAVAILABLE', retryable: true }
const refused: Meaning = {
  code: 'ENGINE_UNAVAILABLE',
  retryable: false,
  hint: 'check security.protocol, the sasl and ssl settings and the ACLs of this user',
}

/**
 * Codes of librdkafka (negative, its own) and of the protocol (positive), by what a caller can do about them.
 * https://kafka.apache.org/protocol#protocol_error_codes
 */
const meanings: Readonly<Record<number, Meaning>> = {
  [-195]: unavailable, // transport failure
  [-193]: unavailable, // unresolvable host
  [-192]: unavailable, // message timed out
  [-190]: unknownTopic, // unknown partition
  [-188]: unknownTopic,
  [-187]: unavailable, // all brokers down
  [-185]: unavailable, // timed out
  [-184]: { code: 'BUSY', retryable: true },
  [-181]: refused, // TLS
  [-169]: refused, // authentication
  [-156]: unavailable, // no leader of any partition that was asked about
  [-144]: unavailable, // a newer producer of this id, or the broker has ended the transaction
  3: unknownTopic,
  5: unavailable, // no leader
  6: unavailable, // not the leader
  7: unavailable, // request timed out
  8: unavailable, // broker not available
  9: unavailable, // replica not available
  10: tooLarge,
  13: unavailable, // the broker left before it answered
  14: unavailable, // coordinator is loading
  15: unavailable, // no coordinator
  16: unavailable, // not the coordinator
  17: { code: 'INVALID_TOPIC', retryable: false },
  18: tooLarge,
  19: unavailable, // too few replicas in sync
  20: unavailable, // the same, noticed after the append
  29: refused, // topic
  30: refused, // group
  31: refused, // cluster
  33: refused, // SASL mechanism
  22: unavailable, // an older generation of the group
  25: unavailable, // no member of the group any more
  38: {
    code: 'ENGINE_UNAVAILABLE',
    retryable: true,
    hint: 'fewer brokers are alive than a new topic wants copies (default.replication.factor)',
  },
  45: unavailable, // out of sequence: this producer is given up
  47: unavailable, // a younger epoch of it has written
  48: unavailable, // its transaction is not open any more
  49: unavailable, // its id has expired
  51: unavailable, // an earlier transaction of this id is ending
  53: refused, // transactional id
  56: unavailable, // the broker's disk
  58: refused, // SASL
  59: unavailable, // the leader does not know it
  74: unavailable, // the client knows an older leader
  75: unavailable, // the broker does
  78: unavailable, // a new leader does not know its end yet
  82: unavailable, // another member of this name
  89: { code: 'BUSY', retryable: true }, // throttling quota
  90: unavailable, // another one has its id
  110: unavailable, // the coordinator knows another epoch of the member
  113: unavailable, // the member's epoch has changed
}

/** Code of a client's error; rebalance calls throw plain objects. `undefined`: not one of the client's. */
export function clientCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || isSemelError(error)) return undefined
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'number' ? code : undefined
}

/** A client's error in our own words: `outcome` is what is known about the work it ended. */
export function translated(error: unknown, doing: string, outcome: Outcome): Error {
  const code = clientCode(error)
  if (code === undefined) return error instanceof Error ? error : new Error(String(error))
  const meaning = meanings[code] ?? { code: 'ENGINE_FAILED', retryable: false }
  const text: unknown = Reflect.get(error as object, 'message')
  return new SemelError(meaning.code, `${doing}: ${String(text)} (Kafka error ${code})`, {
    cause: error,
    outcome,
    retryable: meaning.retryable,
    hint: 'hint' in meaning ? meaning.hint : undefined,
  })
}
