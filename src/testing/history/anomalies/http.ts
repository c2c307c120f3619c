import type { Operation, OperationOf } from '../operation.ts'
import type { Scene, Watcher } from '../watcher.ts'

const firstSuccess = 200
const lastSuccess = 299

/** http-key-break (H1): one idempotency key with two different successful answers, or with two effects. */
export class HttpKeys implements Watcher {
  readonly #scene: Scene
  readonly #answers = new Map<string, OperationOf<'http'>>()
  readonly #effects = new Map<string, Operation>()

  constructor(scene: Scene) {
    this.#scene = scene
  }

  settled(operation: Operation): void {
    if (operation.outcome !== 'ok') return
    if (operation.f === 'http') this.#answered(operation)
    else if (operation.f === 'effect' && operation.call.http !== undefined) {
      const { sink, http } = operation.call
      const name = JSON.stringify([sink, http])
      const first = this.#effects.get(name)
      if (first === undefined) this.#effects.set(name, operation)
      else
        this.#broken(`idempotency key ${JSON.stringify(http)} took effect twice in ${sink}`, first, operation)
    }
  }

  #answered(operation: OperationOf<'http'>): void {
    const { key, scope, status, bodyHash, topic, p, off } = operation.call
    if (status === undefined || status < firstSuccess || status > lastSuccess) return
    const name = JSON.stringify([scope, key])
    const first = this.#answers.get(name)
    if (first === undefined) {
      this.#answers.set(name, operation)
      return
    }
    const text = `idempotency key ${JSON.stringify(key)}`
    if (first.call.bodyHash !== bodyHash || first.call.status !== status)
      this.#broken(`${text} had two answers`, first, operation)
    else if (first.call.topic !== topic || first.call.p !== p || first.call.off !== off)
      this.#broken(`${text} made two events`, first, operation)
  }

  #broken(text: string, ...operations: [Operation, Operation]): void {
    this.#scene.findings.add('http-key-break', () => ({ text, operations }))
  }
}
