/**
 * The message framing of PostgreSQL's protocol 3: a type byte and a length that counts itself. The first messages of a
 * client have no type byte, and the answer to a request for encryption is one byte alone.
 */

export interface Frame {
  /** The type byte as a character; '' for a message of the startup, and for the rest of a long message. */
  readonly type: string
  /** As on the wire, header included: all of it, or the head of a message that is too long to be kept. */
  readonly bytes: Buffer
}

// A statement's text and its name are in the head; what may be longer are values and rows, and copies.
const headBytesMax = 256 << 10
const cancelRequest = 80_877_102
const sslRequest = 80_877_103
const encryptionRequest = 80_877_104

/** Cuts one direction's bytes into messages. Keeps at most the head of one. */
export class FrameReader {
  #kept: Buffer = Buffer.alloc(0)
  #bodyLeft = 0
  #startup: boolean

  constructor(options: { readonly startup: boolean }) {
    this.#startup = options.startup
  }

  /** Gives each message before it looks at the next, for what one says decides how the next is read. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#kept = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk])
    for (;;) {
      const frame = this.#take(this.#kept)
      if (frame === undefined) return
      this.#kept = this.#kept.subarray(frame.bytes.length)
      yield frame
    }
  }

  /** After the startup message all messages have a type. */
  startupIsOver(): void {
    this.#startup = false
  }

  /** What has come of a message whose head is not complete; for whoever stops reading messages. */
  rest(): Buffer {
    const rest = this.#kept
    this.#kept = Buffer.alloc(0)
    return rest
  }

  #take(bytes: Buffer): Frame | undefined {
    if (this.#bodyLeft > 0) return this.#takeBody(bytes)
    const lengthAt = this.#startup ? 0 : 1
    if (bytes.length < lengthAt + 4) return undefined
    const length = bytes.readUInt32BE(lengthAt)
    if (length < 4) throw new Error(`not PostgreSQL's protocol: a message of length ${length}`)
    const size = lengthAt + length
    if (bytes.length < Math.min(size, headBytesMax)) return undefined
    const taken = bytes.subarray(0, size)
    this.#bodyLeft = size - taken.length
    return { type: this.#startup ? '' : String.fromCharCode(bytes[0]!), bytes: taken }
  }

  #takeBody(bytes: Buffer): Frame | undefined {
    if (bytes.length === 0) return undefined
    const taken = bytes.subarray(0, this.#bodyLeft)
    this.#bodyLeft -= taken.length
    return { type: '', bytes: taken }
  }
}

export type StartupKind = 'encryption' | 'cancel' | 'startup'

export function startupKind(frame: Frame): StartupKind {
  const code = frame.bytes.readUInt32BE(4)
  if (code === sslRequest || code === encryptionRequest) return 'encryption'
  return code === cancelRequest ? 'cancel' : 'startup'
}

/** The zero-ended texts at the start of a message, such as a prepared statement's name and its SQL. */
export function textsOf(frame: Frame, count: number): string[] {
  const texts: string[] = []
  let at = 5
  for (let i = 0; i < count; i++) {
    const zero = frame.bytes.indexOf(0, at)
    const end = zero === -1 ? frame.bytes.length : zero
    texts.push(frame.bytes.toString('utf8', at, end))
    at = end + 1
  }
  return texts
}
