import type { Place, Send, Value } from '../log-model.ts'
import type { Scene, Watcher } from '../watcher.ts'
import { placesAllowed } from './windows.ts'

/**
 * dedup-break: one id at two places inside its window (N1), replies that disagree, a second content that was
 * accepted (N2), and a "duplicate" of nothing, which is how a probabilistic memory loses an event (N5).
 */
export class Dedup implements Watcher {
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  finish(): void {
    if (this.#scene.options.dedupWindowMs === undefined) return
    for (const value of this.#scene.model.values()) {
      if (value.id === null || value.sends.length === 0) continue
      const single = value.sends.length === 1 && value.sameId === undefined && value.places.length <= 1
      if (single && !value.sends[0]!.duplicate) continue
      if (value.topic.withId(value.id) === value) this.#judge([value, ...(value.sameId ?? [])], value.id)
    }
  }

  #judge(values: readonly Value[], id: string): void {
    const sends = values.flatMap((value) => value.sends).sort(byStart)
    const allowed = placesAllowed(sends, id, this.#scene.options.dedupWindowMs)
    const answered = distinct(sends.flatMap(({ place }) => (place === undefined ? [] : [place])))
    const places = distinct(values.flatMap((value) => value.places))
    const accepted = values.filter((value) => value.acknowledged || value.seenBy !== undefined)
    if (accepted.length > allowed)
      this.#broken(`id ${quote(id)} was accepted with ${accepted.length} contents`, values, sends)
    else if (answered.length > allowed)
      this.#broken(`replies for id ${quote(id)} name ${textOf(answered)}`, values, sends)
    else if (places.length > allowed) this.#broken(`id ${quote(id)} is at ${textOf(places)}`, values, sends)
    this.#duplicateOfNothing(values, sends, id)
  }

  #duplicateOfNothing(values: readonly Value[], sends: readonly Send[], id: string): void {
    const first = sends.find((send) => send.duplicate)
    if (first === undefined) return
    // A refused attempt explains it, as a lie about the outcome: that is another anomaly.
    const origin = sends.some((send) => !send.duplicate && send.operation.startSeq < first.operation.endSeq)
    if (!origin) this.#broken(`id ${quote(id)} was answered as a duplicate of nothing`, values, [first])
  }

  #broken(text: string, values: readonly Value[], sends: readonly Send[]): void {
    const place = values.flatMap((value) => value.places)[0]
    this.#scene.findings.add('dedup-break', () => ({
      text,
      partition: place?.partition,
      topic: values[0]!.topic.name,
      offsets: distinct(values.flatMap((value) => value.places)).map(({ off }) => off),
      values: values.slice(0, 4),
      operations: [...new Set(sends.slice(0, 6).map(({ operation }) => operation))],
    }))
  }
}

function byStart(a: Send, b: Send): number {
  return a.operation.startSeq - b.operation.startSeq
}

function distinct(places: readonly Place[]): Place[] {
  return [...new Map(places.map((place) => [`${place.partition.name} ${place.off}`, place])).values()]
}

function textOf(places: readonly Place[]): string {
  return places
    .slice(0, 4)
    .map(({ partition, off }) => `${partition.name} offset ${off}`)
    .join(' and ')
}

function quote(text: string): string {
  return JSON.stringify(text)
}
