import type { Partition } from '../log-model.ts'
import type { Operation, Session } from '../operation.ts'
import type { NoteEvent, Polled } from '../record.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Position {
  off: number
  /** The poll that got there. Two steps of one operation are internal. */
  operation: Operation
}

/** A step of a session over offsets it was not given. Whether there was anything is known at the end. */
interface Jump {
  readonly partition: Partition
  readonly from: number
  readonly to: number
  readonly operation: Operation
  readonly internal: boolean
}

/**
 * Order and completeness of reading, per session: poll-skip, nonmonotonic-poll, both also within one poll
 * (`int-`), and precommitted-read.
 */
export class Polls implements Watcher {
  readonly #scene: Scene
  readonly #positions = new Map<Session, Map<Partition, Position>>()
  readonly #jumps: Jump[] = []

  constructor(scene: Scene) {
    this.#scene = scene
  }

  settled(operation: Operation): void {
    if (operation.f === 'poll') {
      if (operation.reply !== undefined) this.#polled(operation, operation.call.topic, operation.reply)
    } else if (operation.f === 'tx') {
      for (const [index, micro] of operation.call.micro.entries()) {
        const answer = operation.reply?.micro[index]
        if (micro.f === 'poll' && answer !== undefined && 'recs' in answer)
          this.#polled(operation, micro.topic, answer)
      }
    }
  }

  /** Whoever was given a partition, lost it or was sent elsewhere begins anew there, and only there. */
  noted(note: NoteEvent, session: Session): void {
    if (note.f !== 'assign' && note.f !== 'revoke' && note.f !== 'seek' && note.f !== 'replay') return
    const partition = this.#scene.model.topic(note.v.topic).partition(note.v.p)
    this.#positions.get(session)?.delete(partition)
  }

  finish(): void {
    for (const { partition, from, to, operation, internal } of this.#jumps) {
      const skipped = partition.knownBetween(Math.max(from, partition.earliest - 1), to)
      if (skipped === undefined) continue
      this.#scene.findings.add(internal ? 'int-poll-skip' : 'poll-skip', () => ({
        text: `${partition.name}: ${internal ? 'one read' : 'a session'} went from offset ${from} to ${to} over ${skipped}`,
        partition,
        offsets: [from, skipped, to],
        values: [partition.at.get(skipped)!],
        operations: [operation],
      }))
    }
  }

  #polled(operation: Operation, topicName: string, { recs }: Polled): void {
    const topic = this.#scene.model.topic(topicName)
    const own = operation.sends.length === 0 ? undefined : new Set(operation.sends.map(({ value }) => value))
    for (const p of Object.keys(recs)) {
      const partition = topic.partition(Number(p))
      for (const [off, , val] of recs[p]!) {
        this.#step(operation, partition, off)
        const value = own === undefined ? undefined : topic.values.get(val)
        if (value !== undefined && own?.has(value)) this.#precommitted(operation, partition, off, val)
      }
    }
  }

  #step(operation: Operation, partition: Partition, off: number): void {
    let positions = this.#positions.get(operation.session)
    if (positions === undefined) {
      positions = new Map()
      this.#positions.set(operation.session, positions)
    }
    const last = positions.get(partition)
    if (last === undefined) {
      positions.set(partition, { off, operation })
      return
    }
    const internal = last.operation === operation
    if (off <= last.off) this.#back(operation, partition, last.off, off, internal)
    else if (off > last.off + 1) this.#jumps.push({ partition, from: last.off, to: off, operation, internal })
    last.off = off
    last.operation = operation
  }

  #back(operation: Operation, partition: Partition, from: number, to: number, internal: boolean): void {
    this.#scene.findings.add(internal ? 'int-nonmonotonic-poll' : 'nonmonotonic-poll', () => ({
      text: `${partition.name}: ${internal ? 'one read' : 'a session'} went from offset ${from} to ${to}`,
      partition,
      offsets: [to, from],
      operations: [operation],
    }))
  }

  #precommitted(operation: Operation, partition: Partition, off: number, val: string): void {
    this.#scene.findings.add('precommitted-read', () => ({
      text: `${partition.name} offset ${off}: a transaction read its own ${JSON.stringify(val)} before it committed`,
      partition,
      offsets: [off],
      values: [partition.topic.value(val)],
      operations: [operation],
    }))
  }
}
