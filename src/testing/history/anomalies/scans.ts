import type { Partition } from '../log-model.ts'
import type { Operation, OperationOf } from '../operation.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Opening {
  readonly partition: Partition
  /** Highest offset that someone had been told of before the log was opened. */
  readonly knownMax: number
  readonly operation: Operation
  readonly end: number
}

interface Identity {
  readonly partition: Partition
  readonly before: string
  readonly logId: string
  readonly operation: Operation
}

/**
 * What a log is after it was opened or read again: prefix-break (shorter, or another one, and nobody was told:
 * D5, D6) and replay-diff (R1).
 */
export class Scans implements Watcher {
  readonly #scene: Scene
  readonly #knownBefore = new Map<Operation, number>()
  readonly #openings: Opening[] = []
  readonly #identities: Identity[] = []
  readonly #logIds = new Map<Partition, string>()
  readonly #scans = new Map<Partition, Map<number, OperationOf<'scan'>[]>>()

  constructor(scene: Scene) {
    this.#scene = scene
  }

  started(operation: Operation): void {
    if (operation.f !== 'open' && operation.f !== 'recovered') return
    this.#knownBefore.set(operation, this.#partitionOf(operation).knownMax)
  }

  settled(operation: Operation): void {
    if (operation.f === 'scan' && operation.outcome === 'ok') this.#scanned(operation)
    if (operation.f !== 'open' && operation.f !== 'recovered') return
    const partition = this.#partitionOf(operation)
    const knownMax = this.#knownBefore.get(operation) ?? partition.knownMax
    this.#knownBefore.delete(operation)
    const { end, logId } = operation.call
    if (operation.outcome !== 'ok') return
    if (end !== undefined && end <= knownMax) this.#openings.push({ partition, knownMax, operation, end })
    if (logId === undefined) return
    const before = this.#logIds.get(partition)
    if (before !== undefined && before !== logId)
      this.#identities.push({ partition, before, logId, operation })
    this.#logIds.set(partition, logId)
  }

  /** Who was told LOG_REGRESSED after the fact was not deceived. */
  finish(): void {
    for (const { partition, knownMax, operation, end } of this.#openings) {
      if (isDeclared(partition, operation)) continue
      this.#broken(partition, operation, `opened with end ${end}, offset ${knownMax} had been known`, [
        knownMax,
      ])
    }
    for (const { partition, before, logId, operation } of this.#identities) {
      if (isDeclared(partition, operation)) continue
      this.#broken(partition, operation, `log ${before} became log ${logId}`, [])
    }
  }

  #scanned(operation: OperationOf<'scan'>): void {
    const partition = this.#partitionOf(operation)
    let byStart = this.#scans.get(partition)
    if (byStart === undefined) {
      byStart = new Map()
      this.#scans.set(partition, byStart)
    }
    const { from } = operation.call
    const earlier = byStart.get(from) ?? []
    byStart.set(from, earlier)
    for (const other of earlier) this.#compare(partition, other, operation)
    // Of scans over one range the first is enough to compare with.
    if (!earlier.some((other) => other.call.to === operation.call.to)) earlier.push(operation)
  }

  #compare(partition: Partition, earlier: OperationOf<'scan'>, later: OperationOf<'scan'>): void {
    const [a, b] = [earlier.call, later.call]
    if (b.from < partition.earliest) return
    if (a.to === b.to && (differ(a.hash, b.hash) || differ(a.count, b.count))) {
      this.#scene.findings.add('replay-diff', () => ({
        text: `${partition.name}: two scans of ${a.from} to ${a.to} gave ${a.count ?? '?'} events, hash ${a.hash ?? '?'}, and ${b.count ?? '?'} events, hash ${b.hash ?? '?'}`,
        partition,
        offsets: [a.from, a.to],
        operations: [earlier, later],
      }))
    }
    if (a.count === undefined || b.count === undefined || a.to === b.to) return
    const [shorter, longer] = a.to < b.to ? [a, b] : [b, a]
    if (longer.count! < shorter.count! && earlier.endSeq < later.startSeq)
      this.#broken(
        partition,
        later,
        `a scan to ${longer.to} gave ${longer.count} events, one to ${shorter.to} gave ${shorter.count}`,
        [shorter.to],
      )
  }

  #broken(partition: Partition, operation: Operation, text: string, offsets: readonly number[]): void {
    this.#scene.findings.add('prefix-break', () => ({
      text: `${partition.name}: ${text}`,
      partition,
      offsets,
      operations: [operation],
    }))
  }

  #partitionOf({ call }: OperationOf<'scan'> | OperationOf<'open'> | OperationOf<'recovered'>): Partition {
    return this.#scene.model.topic(call.topic).partition(call.p)
  }
}

function isDeclared(partition: Partition, operation: Operation): boolean {
  return partition.regressedSeq !== Infinity && partition.regressedSeq >= operation.startSeq
}

function differ<T>(a: T | undefined, b: T | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b
}
