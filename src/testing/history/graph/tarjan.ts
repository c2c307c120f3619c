import { type EdgeKind, edgeKinds, type Graph } from './graph.ts'

/**
 * Strongly connected components with at least two nodes, using only edges in `mask` (Tarjan, "Depth-first search
 * and linear graph algorithms", 1972). A stack of our own instead of recursion: paths are as long as histories.
 */
export function components(graph: Graph, mask: number): number[][] {
  return new Search(graph, mask).run()
}

class Search {
  readonly #graph: Graph
  readonly #mask: number
  /** Order of discovery from 1; 0: not seen yet. */
  readonly #index: Int32Array
  readonly #low: Int32Array
  readonly #onStack: Uint8Array
  /** Next edge to follow, of nodes on the path. */
  readonly #next: Int32Array
  readonly #stack: number[] = []
  readonly #path: number[] = []
  readonly #found: number[][] = []
  #discovered = 0

  constructor(graph: Graph, mask: number) {
    this.#graph = graph
    this.#mask = mask
    this.#index = new Int32Array(graph.nodes)
    this.#low = new Int32Array(graph.nodes)
    this.#onStack = new Uint8Array(graph.nodes)
    this.#next = new Int32Array(graph.nodes)
  }

  run(): number[][] {
    for (let node = 0; node < this.#graph.nodes; node++) if (this.#index[node] === 0) this.#from(node)
    return this.#found
  }

  #from(root: number): void {
    this.#enter(root)
    while (this.#path.length > 0) {
      const node = this.#path.at(-1)!
      if (this.#follow(node)) continue
      this.#path.pop()
      const parent = this.#path.at(-1)
      if (parent !== undefined) this.#low[parent] = Math.min(this.#low[parent]!, this.#low[node]!)
      if (this.#low[node] === this.#index[node]) this.#leave(node)
    }
  }

  #enter(node: number): void {
    this.#index[node] = this.#low[node] = ++this.#discovered
    this.#onStack[node] = 1
    this.#next[node] = this.#graph.firstEdge(node)
    this.#stack.push(node)
    this.#path.push(node)
  }

  /** Goes down the next edge of a node; false if there is none left. */
  #follow(node: number): boolean {
    const end = this.#graph.lastEdge(node)
    while (this.#next[node]! < end) {
      const edge = this.#next[node]!
      this.#next[node] = edge + 1
      if ((this.#graph.kindBitAt(edge) & this.#mask) === 0) continue
      const to = this.#graph.targetAt(edge)
      if (this.#index[to] === 0) {
        this.#enter(to)
        return true
      }
      if (this.#onStack[to] === 1) this.#low[node] = Math.min(this.#low[node]!, this.#index[to]!)
    }
    return false
  }

  #leave(root: number): void {
    const component: number[] = []
    let node: number
    do {
      node = this.#stack.pop()!
      this.#onStack[node] = 0
      component.push(node)
    } while (node !== root)
    if (component.length > 1) this.#found.push(component)
  }
}

export interface CircleStep {
  readonly node: number
  /** Kind of the edge that leads on from here. */
  readonly kind: EdgeKind
}

const visitedMax = 50_000

/** A shortest circle through `start` inside one component, by breadth-first search; empty if it would take too long. */
export function shortestCircle(
  graph: Graph,
  mask: number,
  component: ReadonlySet<number>,
  start: number,
): CircleStep[] {
  const from = new Map<number, CircleStep>()
  const queue = [start]
  for (const node of queue) {
    if (queue.length > visitedMax) break
    for (const { to, kind } of graph.edgesOf(node)) {
      if (((1 << edgeKinds.indexOf(kind)) & mask) === 0 || !component.has(to)) continue
      if (to === start) return [...wayTo(from, start, node), { node, kind }]
      if (from.has(to)) continue
      from.set(to, { node, kind })
      queue.push(to)
    }
  }
  return []
}

function wayTo(from: ReadonlyMap<number, CircleStep>, start: number, end: number): CircleStep[] {
  const steps: CircleStep[] = []
  for (let node = end; node !== start; node = steps.at(-1)!.node) steps.push(from.get(node)!)
  return steps.reverse()
}
