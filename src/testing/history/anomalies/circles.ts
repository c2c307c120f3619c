import type { AnomalyName } from '../anomaly-names.ts'
import { type EdgeKind, type Graph, maskOf } from '../graph/graph.ts'
import { type OrderGraph, orderGraph } from '../graph/order-graph.ts'
import { type CircleStep, components, shortestCircle } from '../graph/tarjan.ts'
import type { Operation } from '../operation.ts'
import type { Scene, Watcher } from '../watcher.ts'

/** From the plainest claim to the strictest. A circle counts where it first shows. */
const families: readonly { name: AnomalyName; kinds: readonly EdgeKind[] }[] = [
  { name: 'G0', kinds: ['ww'] },
  { name: 'G0-process', kinds: ['ww', 'process'] },
  { name: 'G0-realtime', kinds: ['ww', 'process', 'realtime'] },
  { name: 'G1c', kinds: ['ww', 'wr'] },
  { name: 'G1c-process', kinds: ['ww', 'wr', 'process'] },
  { name: 'G1c-realtime', kinds: ['ww', 'wr', 'process', 'realtime'] },
]
const everything: readonly EdgeKind[] = ['ww', 'wr', 'process', 'realtime']
const startsTriedMax = 32

/**
 * G0 and G1c (Adya, "Weak Consistency", 1999): circles of writes, and of writes and reads; with the order of
 * processes and of real time in the strict variants. Without atomic visibility (Kafka) circles that need a
 * write-write edge are normal, so reads are judged by themselves.
 */
export class Circles implements Watcher {
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  finish(): void {
    const { operations } = this.#scene.model
    const order = orderGraph(this.#scene.model)
    if (operations.length === 0 || components(order.graph, maskOf(everything)).length === 0) return
    const blamed = new Set<number>()
    for (const { name, kinds } of families) {
      const used = this.#isWriteCircleNormal(name) ? kinds.filter((kind) => kind !== 'ww') : kinds
      for (const component of components(order.graph, maskOf(used)))
        this.#blame(name, order, used, component, blamed)
    }
  }

  #isWriteCircleNormal(name: AnomalyName): boolean {
    return name.startsWith('G1c') && !this.#scene.options.atomicVisibility
  }

  #blame(
    name: AnomalyName,
    order: OrderGraph,
    kinds: readonly EdgeKind[],
    component: readonly number[],
    blamed: Set<number>,
  ): void {
    if (component.some((node) => blamed.has(node))) return
    for (const node of component) blamed.add(node)
    const circle = smallestCircle(order.graph, maskOf(kinds), component, order.operations.length)
    const operations = circle.flatMap(({ node }) => order.operations[node] ?? [])
    this.#scene.findings.add(
      name,
      () => ({
        text:
          operations.length === 0 ? `a circle among ${component.length}` : textOf(circle, order.operations),
        partition: operations.flatMap(({ sends }) => sends.flatMap(({ value }) => value.places))[0]
          ?.partition,
        offsets: operations.flatMap(({ sends }) =>
          sends.slice(0, 2).flatMap(({ place }) => place?.off ?? []),
        ),
        values: operations.flatMap(({ sends }) => sends.slice(0, 2).map(({ value }) => value)),
        operations,
      }),
      operations.length === 0 ? component.length : operations.length,
    )
  }
}

function smallestCircle(
  graph: Graph,
  mask: number,
  component: readonly number[],
  operations: number,
): CircleStep[] {
  const inside = new Set(component)
  const starts = component.filter((node) => node < operations).slice(0, startsTriedMax)
  const circles = starts.map((start) => shortestCircle(graph, mask, inside, start))
  return circles.filter(({ length }) => length > 0).sort((a, b) => a.length - b.length)[0] ?? []
}

/** `publish 3 of n1/a -ww-> tx 9 of n2/b -realtime-> …`; moments in time are left out. */
function textOf(circle: readonly CircleStep[], operations: readonly Operation[]): string {
  const steps = circle.flatMap(({ node, kind }) => {
    const operation = operations[node]
    return operation === undefined ? [] : [`${operation.f} ${operation.i} of ${operation.proc} -${kind}->`]
  })
  return `${steps.join(' ')} the first`
}
