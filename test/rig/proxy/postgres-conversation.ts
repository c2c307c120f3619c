import type { Cut } from '../../../src/testing/faults/tcp-proxy.ts'
import { type Frame, FrameReader, startupKind, textsOf } from './postgres-frames.ts'
import type { Trap } from './postgres-trap.ts'

const heldBytesMax = 8 << 20

/** Something whose reply is to come: a simple query, which ends with ReadyForQuery as a sync does, or one execute. */
interface Expected {
  readonly kind: 'query' | 'execute' | 'sync'
  readonly trap: Trap | undefined
}

/**
 * One connection's talk, followed in both directions: replies come in the order of the requests, so a queue of what is
 * expected tells whose reply a message is. After an error the server skips all requests up to the next sync.
 */
export class Conversation {
  readonly #catch: (sql: string) => Trap | undefined
  readonly #requests = new FrameReader({ startup: true })
  readonly #replies = new FrameReader({ startup: false })
  readonly #statements = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  readonly #expected: Expected[] = []
  #phase: 'startup' | 'encryption-asked' | 'talk' | 'opaque' = 'startup'
  #skipping = false
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(catchStatement: (sql: string) => Trap | undefined) {
    this.#catch = catchStatement
  }

  async *toServer(incoming: AsyncIterable<Buffer>): AsyncGenerator<Buffer | Cut> {
    for await (const chunk of incoming) {
      if (this.#phase === 'opaque') {
        yield chunk
        continue
      }
      const passed: Buffer[] = []
      for (const frame of this.#requests.push(chunk)) {
        const trap = this.#request(frame)
        if (trap !== undefined && !trap.isOnReply) {
          if (passed.length > 0) yield Buffer.concat(passed.splice(0))
          if ((await trap.spring()) === 'cut') return yield trap.cutBy
        }
        passed.push(frame.bytes)
      }
      if (passed.length > 0) yield Buffer.concat(passed)
    }
    yield this.#requests.rest()
  }

  async *toClient(incoming: AsyncIterable<Buffer>): AsyncGenerator<Buffer | Cut> {
    for await (let chunk of incoming) {
      if (this.#phase === 'encryption-asked') {
        yield chunk.subarray(0, 1)
        this.#encryptionAnswered(chunk[0]!)
        chunk = chunk.subarray(1)
      }
      if (this.#phase === 'opaque') {
        yield chunk
        continue
      }
      const passed: Buffer[] = []
      for (const frame of this.#replies.push(chunk)) {
        const { trap, isComplete } = this.#reply(frame)
        if (trap === undefined) passed.push(frame.bytes)
        else this.#hold(trap, frame)
        if (trap === undefined || !isComplete) continue
        if (passed.length > 0) yield Buffer.concat(passed.splice(0))
        if ((await trap.spring()) === 'cut') return yield trap.cutBy
        passed.push(...this.#letGo())
      }
      if (passed.length > 0) yield Buffer.concat(passed)
    }
    yield Buffer.concat([...this.#letGo(), this.#replies.rest()])
  }

  #encryptionAnswered(answer: number): void {
    this.#phase = answer === 'N'.charCodeAt(0) ? 'startup' : 'opaque'
  }

  #hold(trap: Trap, frame: Frame): void {
    if (trap.kind === 'drop-reply') return
    this.#heldBytes += frame.bytes.length
    if (this.#heldBytes > heldBytesMax) throw new Error(`a held reply has more than ${heldBytesMax} bytes`)
    this.#held.push(frame.bytes)
  }

  #letGo(): Buffer[] {
    this.#heldBytes = 0
    return this.#held.splice(0)
  }

  /** Follows a client's message; answers the trap that its statement walks into. */
  #request(frame: Frame): Trap | undefined {
    if (this.#phase !== 'talk') {
      this.#start(frame)
      return undefined
    }
    if (frame.type === 'Q') return this.#expect('query', textsOf(frame, 1)[0]!)
    if (frame.type === 'P') this.#prepare(frame)
    else if (frame.type === 'B') this.#bind(frame)
    else if (frame.type === 'E')
      return this.#expect('execute', this.#portals.get(textsOf(frame, 1)[0]!) ?? '')
    else if (frame.type === 'S') {
      this.#skipping = false
      this.#expected.push({ kind: 'sync', trap: undefined })
    }
    return undefined
  }

  #start(frame: Frame): void {
    const kind = startupKind(frame)
    if (kind === 'encryption') this.#phase = 'encryption-asked'
    else this.#phase = kind === 'cancel' ? 'opaque' : 'talk'
    if (kind === 'startup') this.#requests.startupIsOver()
  }

  #prepare(frame: Frame): void {
    const [name, sql] = textsOf(frame, 2)
    this.#statements.set(name!, sql!)
  }

  #bind(frame: Frame): void {
    const [portal, statement] = textsOf(frame, 2)
    this.#portals.set(portal!, this.#statements.get(statement!) ?? '')
  }

  #expect(kind: 'query' | 'execute', sql: string): Trap | undefined {
    if (this.#skipping) return undefined
    const trap = this.#catch(sql)
    this.#expected.push({ kind, trap: trap?.isOnReply ? trap : undefined })
    return trap
  }

  /** Follows a server's message: the trap in whose reply it is, and whether it is that reply's last. */
  #reply(frame: Frame): { trap: Trap | undefined; isComplete: boolean } {
    const head = this.#expected[0]
    // Of a statement that failed before its execution was asked for, or of a connection that ends.
    if (head === undefined && frame.type === 'E') this.#skipping = true
    if (head === undefined) return { trap: undefined, isComplete: false }
    // Preparing and binding are answered before the reply proper, and notices come at any time.
    const isAside = '123NSAnt'.includes(frame.type) && frame.type !== ''
    const trap = isAside ? undefined : head.trap
    if (frame.type === 'Z') this.#expected.splice(0, 1 + this.#expected.findIndex(endsWithReady))
    else if (head.kind === 'execute' && 'CIs'.includes(frame.type) && frame.type !== '')
      this.#expected.shift()
    else if (head.kind !== 'query' && frame.type === 'E') this.#skipToSync()
    else return { trap, isComplete: false }
    return { trap, isComplete: true }
  }

  #skipToSync(): void {
    const failed = this.#expected[0]?.kind === 'execute' ? this.#expected.shift() : undefined
    while (this.#expected.length > 0 && this.#expected[0]!.kind !== 'sync') {
      const skipped = this.#expected.shift()!
      if (skipped !== failed) skipped.trap?.missed()
    }
    this.#skipping = this.#expected.length === 0
  }
}

function endsWithReady({ kind }: Expected): boolean {
  return kind === 'query' || kind === 'sync'
}
