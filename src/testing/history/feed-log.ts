import type { LogModel, Send, Value } from './log-model.ts'
import type { Operation, OperationOf } from './operation.ts'
import type { NoteEvent, Polled, PolledRecord } from './record.ts'
import type { Scene, Watcher } from './watcher.ts'

/**
 * Builds the log model out of sends, reads and handlers, and judges each record as it is read: what was sent is
 * known by then, for an event cannot be read before its call began. Goes before all other watchers.
 */
export class LogFeed implements Watcher {
  readonly #scene: Scene
  readonly #problem: (text: string) => void

  constructor(scene: Scene, problem: (text: string) => void) {
    this.#scene = scene
    this.#problem = problem
  }

  get #model(): LogModel {
    return this.#scene.model
  }

  started(operation: Operation): void {
    if (operation.f === 'publish') {
      this.#model.operations.push(operation)
      const send = this.#model.send(operation, operation.call)
      if (send === undefined) this.#reused(operation.call.val)
      else operation.sends = [send]
    } else if (operation.f === 'tx' || operation.f === 'publishMany') {
      this.#model.operations.push(operation)
      operation.sends = this.#batchSends(operation)
    } else if (operation.f === 'poll') this.#model.operations.push(operation)
    else if (operation.f === 'handle') this.#handled(operation)
  }

  settled(operation: Operation): void {
    if (operation.f === 'publish') {
      const { reply, sends, outcome } = operation
      if (outcome === 'ok' && reply !== undefined && sends[0] !== undefined)
        this.#model.acknowledged(sends[0], reply.p, reply.off, reply.dup === true)
    } else if (operation.f === 'poll') {
      if (operation.reply !== undefined)
        operation.reads = this.#read(operation, operation.call.topic, operation.reply)
    } else if (operation.f === 'tx' || operation.f === 'publishMany') this.#batchSettled(operation)
    if (operation.err?.includes('LOG_REGRESSED')) this.#regressed(operation)
  }

  noted(note: NoteEvent): void {
    if (note.f !== 'retained') return
    const partition = this.#model.topic(note.v.topic).partition(note.v.p)
    partition.earliest = Math.max(partition.earliest, note.v.earliest)
  }

  #batchSends(operation: OperationOf<'tx'> | OperationOf<'publishMany'>): Send[] {
    const sends: Send[] = []
    for (const micro of operation.call.micro) {
      if (micro.f !== 'send') continue
      const send = this.#model.send(operation as Operation, micro)
      if (send === undefined) this.#reused(micro.val)
      else sends.push(send)
    }
    return sends
  }

  #batchSettled(operation: OperationOf<'tx'> | OperationOf<'publishMany'>): void {
    const { call, reply, outcome } = operation
    const replies = reply?.micro ?? []
    if (outcome === 'ok' && replies.length !== call.micro.length)
      this.#problem(
        `ok ${operation.f} of ${operation.proc} answers ${replies.length} of ${call.micro.length}`,
      )
    // One call may send an event twice; each send has its own answer.
    const unanswered = Map.groupBy(operation.sends, ({ value }) => value.val)
    const reads = new Set<Value>()
    for (const [index, micro] of call.micro.entries()) {
      const answer = replies[index]
      if (answer === undefined) continue
      if (micro.f === 'poll') {
        if (!('recs' in answer)) continue
        for (const value of this.#read(operation as Operation, micro.topic, answer)) reads.add(value)
      } else if (outcome === 'ok' && 'off' in answer) {
        const send = unanswered.get(micro.val)?.shift()
        if (send !== undefined) this.#model.acknowledged(send, answer.p, answer.off, answer.dup === true)
      }
    }
    operation.reads = [...reads]
  }

  /** Takes in what a poll brought; answers the last value of each partition. */
  #read(operation: Operation, topic: string, polled: Polled): Value[] {
    const last: Value[] = []
    for (const p of Object.keys(polled.recs)) {
      const records = polled.recs[p]!
      let value: Value | undefined
      for (const record of records) {
        value = this.#model.polled(topic, Number(p), record, operation)
        const wrong = difference(value, record)
        if (wrong !== undefined) this.#corrupt(operation, Number(p), record, value, wrong)
      }
      if (value !== undefined) last.push(value)
    }
    return last
  }

  #corrupt(operation: Operation, p: number, record: PolledRecord, value: Value, wrong: string): void {
    this.#scene.findings.add('corrupt', () => ({
      text: `${value.topic.name}/${p} offset ${record[0]}: ${wrong}`,
      partition: value.topic.partition(p),
      offsets: [record[0]],
      values: [value],
      operations: [...value.sends.slice(0, 1).map((send) => send.operation), operation],
    }))
  }

  #handled(operation: OperationOf<'handle'>): void {
    const { topic, p, off, id } = operation.call
    const partition = this.#model.topic(topic).partition(p)
    if (this.#model.handled(partition, off, id, operation)) return
    this.#scene.findings.add('phantom', () => ({
      text: `${partition.name} offset ${off}: a handler got id ${JSON.stringify(id)}, which nobody sent`,
      partition,
      offsets: [off],
      operations: [operation],
    }))
  }

  /** Someone was told that the log is not the one it was (D6): what is missing now is no longer silent. */
  #regressed(operation: Operation): void {
    const { call } = operation
    if (!('topic' in call) || call.topic === undefined) return
    for (const partition of this.#model.topic(call.topic).partitions.values()) {
      if ('p' in call && call.p !== partition.p) continue
      partition.regressedSeq = Math.min(partition.regressedSeq, operation.startSeq)
    }
  }

  #reused(val: string): void {
    this.#problem(
      `value ${JSON.stringify(val)} was sent under two ids or keys: values must be unique in a run`,
    )
  }
}

/** How a record differs from what was sent. A value that was never sent is a phantom, judged elsewhere. */
function difference(value: Value, [, id, , crc, key]: PolledRecord): string | undefined {
  if (value.sends.length === 0) return undefined
  if (typeof crc === 'number' && value.crc !== undefined && crc !== value.crc)
    return `CRC ${crc}, sent as ${value.crc}`
  if (value.id !== null && id !== value.id)
    return `id ${JSON.stringify(id)}, sent as ${JSON.stringify(value.id)}`
  if (key !== undefined && key !== value.key)
    return `key ${JSON.stringify(key)}, sent as ${JSON.stringify(value.key)}`
  return undefined
}
