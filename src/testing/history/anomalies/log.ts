import type { Partition, Place, Value } from '../log-model.ts'
import type { Scene, Watcher } from '../watcher.ts'
import { placesAllowed } from './windows.ts'

/**
 * What the log itself may never look like: inconsistent-offset, duplicate, phantom, wrong-partition.
 * (corrupt is judged by the feed, where the record is at hand.)
 */
export class LogShape implements Watcher {
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  finish(): void {
    for (const partition of this.#scene.model.partitions()) this.#clashes(partition)
    for (const value of this.#scene.model.values()) {
      this.#phantom(value)
      this.#duplicate(value)
    }
    for (const topic of this.#scene.model.topics.values()) this.#keys(topic.values.values())
  }

  #clashes(partition: Partition): void {
    for (const [off, { first, second, operation }] of partition.clashes) {
      this.#scene.findings.add('inconsistent-offset', () => ({
        text: `${partition.name} offset ${off} is ${quoted(first)} and ${quoted(second)}`,
        partition,
        offsets: [off],
        values: [first, second],
        operations: [...shownBy(first), operation],
      }))
    }
  }

  #phantom(value: Value): void {
    if (value.sends.length > 0 || value.seenBy === undefined) return
    const reader = value.seenBy
    this.#scene.findings.add('phantom', () => ({
      text: `${placeText(value.places[0])}: ${quoted(value)} was read and nobody sent it`,
      partition: value.places[0]?.partition,
      offsets: value.places.map(({ off }) => off),
      values: [value],
      operations: [reader],
    }))
  }

  #duplicate(value: Value): void {
    if (value.places.length <= 1) return
    const { dedupWindowMs } = this.#scene.options
    if (value.places.length <= placesAllowed(value.sends, value.id, dedupWindowMs)) return
    this.#scene.findings.add('duplicate', () => ({
      text: `${quoted(value)} is at ${value.places.slice(0, 4).map(placeText).join(' and ')}`,
      partition: value.places[0]!.partition,
      offsets: value.places.map(({ off }) => off),
      values: [value],
      operations: [...value.sends.slice(0, 3).map((send) => send.operation), ...shownBy(value)],
    }))
  }

  /** One topic: each key stays where it was first, or where the published hash puts it (P4). */
  #keys(values: Iterable<Value>): void {
    const homes = new Map<string, Value>()
    const { partitionOf } = this.#scene.options
    for (const value of values) {
      const place = value.places[0]
      if (value.key === null || place === undefined || value.sends.length === 0) continue
      const first = homes.get(value.key)
      if (first === undefined) homes.set(value.key, value)
      const home = partitionOf?.(value.topic.name, value.key) ?? first?.places[0]?.partition.p
      if (home === undefined || value.places.every(({ partition }) => partition.p === home)) continue
      this.#scene.findings.add('wrong-partition', () => ({
        text: `${placeText(place)}: key ${JSON.stringify(value.key)} belongs to partition ${home}`,
        partition: place.partition,
        offsets: [place.off],
        values: [value],
        operations: shownBy(value),
      }))
    }
  }
}

function shownBy(value: Value) {
  const operation = value.seenBy ?? value.sends[0]?.operation
  return operation === undefined ? [] : [operation]
}

export function quoted(value: Value): string {
  return JSON.stringify(value.val)
}

export function placeText(place: Place | undefined): string {
  return place === undefined ? 'nowhere' : `${place.partition.name} offset ${place.off}`
}
