import { type Operation, OperationOf, type Session } from './operation.ts'
import { HistoryFormatError, type InvokeEvent, type SettledEvent } from './record.ts'

/** Kinds whose `ok` line may stand alone: what a sink holds, or what was granted. */
const mayStandAlone = new Set([
  'effect',
  'acquire',
  'renew',
  'dlq',
  'scan',
  'open',
  'recovered',
  'ledger',
  'http',
])
const problemsMax = 20

/** Brings invokes and their settling lines together, and notices where the recording itself broke a rule. */
export class Pairing {
  /** Breaches of the recording rules. A history with one proves nothing, so the verdict is at most `void`. */
  readonly problems: string[] = []
  readonly #byNumber = new Map<string, Map<number, Operation>>()
  /** Open operations of a process by kind, in order: for lines without `of`. */
  readonly #byProcess = new Map<string, Set<Operation>>()
  readonly #retired = new Set<string>()
  readonly #sessions = new Map<string, Map<string, Session>>()

  start(event: InvokeEvent, seq: number): Operation {
    const operation = this.#operation(event, event.v, seq)
    if (this.#retired.has(event.proc))
      this.problem(`process ${event.proc} was used again after an unknown outcome (line ${seq + 1})`)
    let ofNode = this.#byNumber.get(event.node)
    if (ofNode === undefined) {
      ofNode = new Map()
      this.#byNumber.set(event.node, ofNode)
    }
    if (ofNode.has(event.i))
      throw new HistoryFormatError(seq + 1, `${event.node} numbers two lines ${event.i}`)
    ofNode.set(event.i, operation)
    const ofProcess = this.#byProcess.get(event.proc)
    if (ofProcess === undefined) this.#byProcess.set(event.proc, new Set([operation]))
    else ofProcess.add(operation)
    return operation
  }

  /** The operation that a line settles; a new one if such lines may stand alone. */
  settle(event: SettledEvent, seq: number): Operation {
    const found = this.#take(event, seq)
    const operation = found ?? this.#alone(event, seq)
    operation.outcome = event.type
    operation.err = event.err
    if (event.type === 'info') this.#retired.add(event.proc)
    else {
      operation.endSeq = seq
      operation.endT = event.t
    }
    if (event.v === undefined) return operation
    if (event.f === 'publish' || event.f === 'publishMany' || event.f === 'tx' || event.f === 'poll')
      Object.assign(operation, { reply: event.v })
    else if (found !== undefined) Object.assign(operation, { call: { ...operation.call, ...event.v } })
    return operation
  }

  /** Operations that nothing settled, in order of their start. `node`: of that process only, which died. */
  takeOpen(node?: string): Operation[] {
    const open: Operation[] = []
    for (const [owner, operations] of this.#byNumber) {
      if (node !== undefined && owner !== node) continue
      open.push(...operations.values())
      operations.clear()
    }
    for (const operation of open) this.#forgetInProcess(operation)
    return open.sort((a, b) => a.startSeq - b.startSeq)
  }

  get openCount(): number {
    let count = 0
    for (const operations of this.#byNumber.values()) count += operations.size
    return count
  }

  session(node: string, name: string): Session {
    let ofNode = this.#sessions.get(node)
    if (ofNode === undefined) {
      ofNode = new Map()
      this.#sessions.set(node, ofNode)
    }
    let session = ofNode.get(name)
    if (session === undefined) {
      session = { node, name }
      ofNode.set(name, session)
    }
    return session
  }

  problem(text: string): void {
    if (this.problems.length < problemsMax) this.problems.push(text)
  }

  #take(event: SettledEvent, seq: number): Operation | undefined {
    const ofNode = this.#byNumber.get(event.node)
    const operation = event.of === undefined ? this.#oldestOf(event) : ofNode?.get(event.of)
    if (operation === undefined || operation.node !== event.node) return undefined
    if (operation.f !== event.f)
      throw new HistoryFormatError(
        seq + 1,
        `${event.f} settles line ${operation.i}, which is a ${operation.f}`,
      )
    ofNode?.delete(operation.i)
    this.#forgetInProcess(operation)
    return operation
  }

  #alone(event: SettledEvent, seq: number): Operation {
    if (event.of !== undefined || event.type !== 'ok' || !mayStandAlone.has(event.f) || event.v === undefined)
      throw new HistoryFormatError(seq + 1, `${event.type} ${event.f} of ${event.proc} settles nothing`)
    return this.#operation(event, event.v, seq)
  }

  #operation(event: InvokeEvent | SettledEvent, call: object, seq: number): Operation {
    const session = this.session(event.node, event.sess)
    return new OperationOf(event.f, call as never, event, session, seq) as Operation
  }

  #oldestOf(event: SettledEvent): Operation | undefined {
    for (const operation of this.#byProcess.get(event.proc) ?? [])
      if (operation.f === event.f) return operation
    return undefined
  }

  #forgetInProcess(operation: Operation): void {
    const operations = this.#byProcess.get(operation.proc)
    operations?.delete(operation)
    if (operations?.size === 0) this.#byProcess.delete(operation.proc)
  }
}
