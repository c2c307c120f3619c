import { commitOf, type Operation, type Session } from '../operation.ts'
import type { Task } from '../record.ts'
import type { Scene, Watcher } from '../watcher.ts'

/** Who may commit for one partition of one group. */
interface Grants {
  /** Highest epoch that was granted or committed with, in operations that had ended. */
  highest: number
  readonly owners: Map<number, Session>
}

interface Claim extends Task {
  readonly epoch?: number | undefined
}

interface LateEffect {
  readonly grants: string
  readonly sink: string
  readonly seq: number
  readonly epoch: number
  readonly operation: Operation
}

/**
 * fence-break (Z1): a commit, dead letter or effect was accepted with an epoch below one that had been granted
 * before it was sent; or one epoch was granted to two.
 */
export class Fencing implements Watcher {
  readonly #scene: Scene
  readonly #grants = new Map<string, Grants>()
  readonly #highestBefore = new Map<Operation, number>()
  readonly #effects: LateEffect[] = []

  constructor(scene: Scene) {
    this.#scene = scene
  }

  started(operation: Operation): void {
    const claim = claimOf(operation)
    if (claim?.epoch !== undefined) this.#highestBefore.set(operation, this.#of(claim).highest)
  }

  settled(operation: Operation): void {
    if (operation.f === 'acquire') this.#acquired(operation.call, operation)
    const claim = claimOf(operation)
    if (claim?.epoch === undefined) return
    const before = this.#highestBefore.get(operation)
    this.#highestBefore.delete(operation)
    if (operation.outcome !== 'ok') return
    if (operation.f === 'effect' && operation.call.seq !== undefined) {
      const { sink, seq } = operation.call
      this.#effects.push({ grants: nameOf(claim), sink, seq, epoch: claim.epoch, operation })
    }
    // A lone line, such as an effect read from its sink, does not tell when it was sent.
    if (before === undefined) return
    if (claim.epoch < before) {
      this.#broken(
        claim,
        operation,
        `${operation.f} of epoch ${claim.epoch} was accepted after epoch ${before} had been granted`,
      )
    }
    const grants = this.#of(claim)
    grants.highest = Math.max(grants.highest, claim.epoch)
  }

  finish(): void {
    this.#effects.sort((a, b) => a.seq - b.seq)
    const highest = new Map<string, number>()
    for (const { grants, sink, epoch, operation } of this.#effects) {
      const name = JSON.stringify([sink, grants])
      const before = highest.get(name) ?? -1
      highest.set(name, Math.max(before, epoch))
      const claim = claimOf(operation)
      if (epoch < before && claim !== undefined)
        this.#broken(
          claim,
          operation,
          `${sink} took an effect of epoch ${epoch} after one of epoch ${before}`,
        )
    }
  }

  #acquired(call: Claim, operation: Operation): void {
    const { epoch } = call
    if (operation.outcome !== 'ok' || epoch === undefined) return
    const grants = this.#of(call)
    const owner = grants.owners.get(epoch)
    if (owner !== undefined && owner !== operation.session)
      this.#broken(
        call,
        operation,
        `epoch ${epoch} was granted to ${owner.name} and to ${operation.session.name}`,
      )
    grants.owners.set(epoch, owner ?? operation.session)
    grants.highest = Math.max(grants.highest, epoch)
  }

  #broken(claim: Claim, operation: Operation, text: string): void {
    const partition = this.#scene.model.topic(claim.topic).partition(claim.p)
    this.#scene.findings.add('fence-break', () => ({
      text: `group ${claim.g} on ${partition.name}: ${text}`,
      partition,
      group: claim.g,
      offsets: 'off' in operation.call && operation.call.off !== undefined ? [operation.call.off] : [],
      operations: [operation],
    }))
  }

  #of(task: Task): Grants {
    const name = nameOf(task)
    let grants = this.#grants.get(name)
    if (grants === undefined) {
      grants = { highest: -1, owners: new Map() }
      this.#grants.set(name, grants)
    }
    return grants
  }
}

function claimOf(operation: Operation): Claim | undefined {
  if (operation.f === 'dlq' || operation.f === 'effect') return operation.call
  return commitOf(operation)
}

function nameOf({ g, topic, p }: Task): string {
  return JSON.stringify([g, topic, p])
}
