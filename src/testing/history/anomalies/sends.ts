import type { Partition, Send, Value } from '../log-model.ts'
import type { Operation, Session } from '../operation.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Sent {
  readonly seq: number
  readonly off: number
  readonly send: Send
}

/**
 * Order of writing: nonmonotonic-send within a session, int-nonmonotonic-send and int-send-skip within a call.
 * Duplicates are left out, because they are answered with the place of the first attempt (N1).
 */
export class Sends implements Watcher {
  readonly #scene: Scene
  readonly #bySession = new Map<Session, Map<Partition, Sent[]>>()

  constructor(scene: Scene) {
    this.#scene = scene
  }

  settled(operation: Operation): void {
    if (operation.outcome !== 'ok') return
    for (const send of operation.sends) {
      if (send.place === undefined || send.duplicate) continue
      this.#sentTo(operation.session, send.place.partition).push({
        seq: operation.startSeq,
        off: send.place.off,
        send,
      })
    }
  }

  finish(): void {
    for (const partitions of this.#bySession.values()) {
      for (const [partition, sent] of partitions) this.#inCallOrder(partition, sent)
    }
    for (const operation of this.#scene.model.operations) {
      if (operation.sends.length > 1 && operation.outcome !== 'fail') this.#within(operation)
    }
  }

  #sentTo(session: Session, partition: Partition): Sent[] {
    let ofSession = this.#bySession.get(session)
    if (ofSession === undefined) {
      ofSession = new Map()
      this.#bySession.set(session, ofSession)
    }
    let sent = ofSession.get(partition)
    if (sent === undefined) {
      sent = []
      ofSession.set(partition, sent)
    }
    return sent
  }

  #inCallOrder(partition: Partition, sent: Sent[]): void {
    sent.sort((a, b) => a.seq - b.seq)
    let highest = sent[0]!
    for (const next of sent) {
      if (next.off >= highest.off) highest = next
      else if (next.seq !== highest.seq) this.#disorder('nonmonotonic-send', partition, highest, next)
    }
  }

  #within(operation: Operation): void {
    const byPartition = new Map<Partition, Sent[]>()
    for (const send of operation.sends) {
      const place = placeOf(send)
      if (place === undefined) continue
      const sent = byPartition.get(place.partition)
      const item = { seq: operation.startSeq, off: place.off, send }
      if (sent === undefined) byPartition.set(place.partition, [item])
      else sent.push(item)
    }
    for (const [partition, sent] of byPartition) {
      for (let n = 1; n < sent.length; n++) {
        if (sent[n]!.off < sent[n - 1]!.off)
          this.#disorder('int-nonmonotonic-send', partition, sent[n - 1]!, sent[n]!)
      }
      this.#foreign(operation, partition, sent)
    }
  }

  #foreign(operation: Operation, partition: Partition, sent: readonly Sent[]): void {
    const offsets = sent.map(({ off }) => off).sort((a, b) => a - b)
    const own = new Set<Value | undefined>(operation.sends.map(({ value }) => value))
    for (let n = 1; n < offsets.length; n++) {
      const between = partition.knownBetween(offsets[n - 1]!, offsets[n]!)
      if (between === undefined || own.has(partition.at.get(between))) continue
      this.#scene.findings.add('int-send-skip', () => ({
        text: `${partition.name}: offset ${between} lies between ${offsets[n - 1]} and ${offsets[n]} of one ${operation.f}`,
        partition,
        offsets: [offsets[n - 1]!, between, offsets[n]!],
        values: [partition.at.get(between)!],
        operations: [operation],
      }))
    }
  }

  #disorder(
    name: 'nonmonotonic-send' | 'int-nonmonotonic-send',
    partition: Partition,
    earlier: Sent,
    later: Sent,
  ): void {
    this.#scene.findings.add(name, () => ({
      text: `${partition.name}: sent first, at offset ${earlier.off}; sent after it, at offset ${later.off}`,
      partition,
      offsets: [later.off, earlier.off],
      values: [earlier.send.value, later.send.value],
      operations: [...new Set([earlier.send.operation, later.send.operation])],
    }))
  }
}

/** Where this attempt put its value: by its reply, or, if it is the only attempt, where the value was found. */
function placeOf({ place, duplicate, value }: Send) {
  if (duplicate) return undefined
  return place ?? (value.sends.length === 1 && value.places.length === 1 ? value.places[0] : undefined)
}
