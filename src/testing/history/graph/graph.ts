/** Why one thing must come before another: a write after a write, a read of a write, one process, real time. */
export const edgeKinds = ['ww', 'wr', 'process', 'realtime'] as const
export type EdgeKind = (typeof edgeKinds)[number]

export interface Edge {
  readonly to: number
  readonly kind: EdgeKind
}

const growth = 2
const firstEdges = 1024

/** A directed graph over numbered nodes. Made for millions of edges: all in typed arrays, read by rows. */
export class Graph {
  readonly nodes: number
  #count = 0
  #from = new Int32Array(firstEdges)
  #to = new Int32Array(firstEdges)
  #kind = new Uint8Array(firstEdges)
  /** `#order` holds edges by their source; row `n` is from `#start[n]` to `#start[n + 1]`. */
  #start = new Int32Array(0)
  #order = new Int32Array(0)

  constructor(nodes: number) {
    this.nodes = nodes
  }

  add(from: number, to: number, kind: EdgeKind): void {
    if (this.#count === this.#from.length) this.#grow()
    this.#from[this.#count] = from
    this.#to[this.#count] = to
    this.#kind[this.#count] = edgeKinds.indexOf(kind)
    this.#count++
  }

  /** Sorts the edges by their source. Call it after the last `add` and before asking. */
  seal(): void {
    const start = new Int32Array(this.nodes + 1)
    for (let edge = 0; edge < this.#count; edge++) start[this.#from[edge]! + 1]!++
    for (let node = 0; node < this.nodes; node++) start[node + 1]! += start[node]!
    const next = start.slice()
    const order = new Int32Array(this.#count)
    for (let edge = 0; edge < this.#count; edge++) {
      const from = this.#from[edge]!
      order[next[from]!] = edge
      next[from]!++
    }
    this.#start = start
    this.#order = order
  }

  firstEdge(node: number): number {
    return this.#start[node]!
  }

  lastEdge(node: number): number {
    return this.#start[node + 1]!
  }

  targetAt(index: number): number {
    return this.#to[this.#order[index]!]!
  }

  /** Kind as a bit, for masks. */
  kindBitAt(index: number): number {
    return 1 << this.#kind[this.#order[index]!]!
  }

  *edgesOf(node: number): Generator<Edge> {
    for (let index = this.firstEdge(node); index < this.lastEdge(node); index++) {
      yield { to: this.targetAt(index), kind: edgeKinds[this.#kind[this.#order[index]!]!]! }
    }
  }

  #grow(): void {
    const size = this.#from.length * growth
    this.#from = enlarged(this.#from, new Int32Array(size))
    this.#to = enlarged(this.#to, new Int32Array(size))
    this.#kind = enlarged(this.#kind, new Uint8Array(size))
  }
}

function enlarged<T extends Int32Array | Uint8Array>(old: T, fresh: T): T {
  fresh.set(old)
  return fresh
}

export function maskOf(kinds: readonly EdgeKind[]): number {
  return kinds.reduce((mask, kind) => mask | (1 << edgeKinds.indexOf(kind)), 0)
}
