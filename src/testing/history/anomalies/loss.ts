import type { Place, Send, Value } from '../log-model.ts'
import type { Operation } from '../operation.ts'
import type { Scene, Watcher } from '../watcher.ts'
import { placeText, quoted } from './log.ts'

/**
 * Whether calls told the truth: G1a and outcome-lie (a `fail` that was not one), lost-write and unseen (an `ok` that
 * was not one), torn-tx (an `ok` for a part).
 */
export class Outcomes implements Watcher {
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  finish(): void {
    for (const value of this.#scene.model.values()) {
      if (value.sends.length === 0) continue
      if (value.refused) this.#refused(value)
      else this.#deniedFirst(value)
      if (value.seenBy === undefined) this.#missing(value)
    }
    for (const operation of this.#scene.model.operations)
      if (operation.sends.length > 1) this.#torn(operation)
  }

  #refused(value: Value): void {
    const { polledBy, seenBy } = value
    if (polledBy !== undefined) {
      this.#scene.findings.add('G1a', () => ({
        text: `${placeText(value.places[0])}: ${quoted(value)} was read, and every call that sent it was refused`,
        partition: value.places[0]?.partition,
        offsets: value.places.map(({ off }) => off),
        values: [value],
        operations: [value.sends[0]!.operation, polledBy],
      }))
    }
    // A refused call that was read before it was refused is an aborted read; to say NotApplied after it is the lie.
    const toldAt = Math.min(...value.sends.map(({ operation }) => operation.endSeq))
    if (seenBy === undefined || (seenBy.endSeq < toldAt && seenBy.f === 'poll')) return
    this.#lie(value, seenBy)
  }

  /** A duplicate of something that was refused: only the refused call can have stored it. */
  #deniedFirst(value: Value): void {
    const duplicate = value.sends.find((send) => send.duplicate)
    if (duplicate === undefined || value.sameId !== undefined) return
    const others = value.sends.filter((send) => !send.duplicate)
    if (others.length === 0 || others.some(({ operation }) => operation.outcome !== 'fail')) return
    if (others.every(({ operation }) => operation.endSeq > duplicate.operation.startSeq)) return
    this.#lie(value, duplicate.operation)
  }

  #lie(value: Value, proof: Operation): void {
    this.#scene.findings.add('outcome-lie', () => ({
      text: `${placeText(value.places[0])}: ${quoted(value)} is there; its call had been reported as NotApplied`,
      partition: value.places[0]?.partition,
      offsets: value.places.map(({ off }) => off),
      values: [value],
      operations: [value.sends.find(({ operation }) => operation.outcome === 'fail')!.operation, proof],
    }))
  }

  #missing(value: Value): void {
    const place = value.places[0]
    const send = value.sends.find(({ operation }) => operation.outcome === 'ok')
    if (place === undefined || send === undefined || place.off < place.partition.earliest) return
    const passedOver = place.off <= place.partition.seenMax
    if (!passedOver && !this.#scene.options.drained) return
    this.#scene.findings.add(passedOver ? 'lost-write' : 'unseen', () => ({
      text: `${placeText(place)}: ${quoted(value)} was acknowledged and never read${
        passedOver ? `; readers got as far as offset ${place.partition.seenMax}` : ''
      }`,
      partition: place.partition,
      offsets: [place.off],
      values: [value],
      operations: [send.operation],
    }))
  }

  #torn(operation: Operation): void {
    const { sends, outcome } = operation
    if (outcome === 'fail') return
    const present = sends.filter(({ value }) => value.seenBy !== undefined)
    if (present.length === 0 || present.length === sends.length) return
    if (outcome !== 'ok' && !present.some((send) => isProof(send, operation))) return
    const missing = sends.filter(
      ({ value }) => value.seenBy === undefined && this.#mustBeThere(value.places[0]),
    )
    if (missing.length === 0) return
    this.#scene.findings.add(
      'torn-tx',
      () => ({
        text: `${present.length} of the ${sends.length} events of one ${operation.f} are there, ${quoted(missing[0]!.value)} is not`,
        partition: present[0]!.value.places[0]?.partition,
        offsets: sends.flatMap(({ value }) => value.places.slice(0, 1).map(({ off }) => off)),
        values: sends.map(({ value }) => value),
        operations: [operation],
      }),
      sends.length,
    )
  }

  #mustBeThere(place: Place | undefined): boolean {
    if (place === undefined) return this.#scene.options.drained
    if (place.off < place.partition.earliest) return false
    return this.#scene.options.drained || place.off <= place.partition.seenMax
  }
}

/** An unknown transaction is proven committed by a value that nothing else can have put there (faults.md 3.2). */
function isProof({ value }: Send, operation: Operation): boolean {
  return value.sends.every((send) => send.operation === operation || send.operation.outcome === 'fail')
}
