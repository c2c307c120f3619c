import type { LogModel, Partition, Value } from '../log-model.ts'
import type { Operation } from '../operation.ts'
import { Graph } from './graph.ts'

/** The graph, and the operations that are its first nodes. Nodes after them are moments in time. */
export interface OrderGraph {
  readonly graph: Graph
  readonly operations: readonly Operation[]
}

/**
 * Who must have come before whom (faults.md 3.3). Edges stay linear in the history: ww only between neighbours in a
 * partition, wr only to a reader's last value of a partition (as Jepsen's kafka workload argues), and real time
 * runs through a chain of moments instead of from everyone to everyone.
 */
export function orderGraph(model: LogModel): OrderGraph {
  const operations = model.operations.filter(({ outcome, reads }) => outcome !== 'fail' || reads.length > 0)
  const numbers = new Map(operations.map((operation, index) => [operation, index]))
  const ended = operations.filter(({ endSeq }) => endSeq !== Infinity).sort((a, b) => a.endSeq - b.endSeq)
  const graph = new Graph(operations.length + ended.length)
  for (const partition of model.partitions()) addWrites(graph, numbers, partition)
  for (const operation of operations) addReads(graph, numbers, operation)
  addProcesses(graph, numbers, operations)
  addTime(graph, numbers, operations, ended)
  graph.seal()
  return { graph, operations }
}

type Numbers = ReadonlyMap<Operation, number>

/** Neighbours among known writers; a writer that is not known is passed over, for order is transitive. */
function addWrites(graph: Graph, numbers: Numbers, partition: Partition): void {
  let before: number | undefined
  for (const off of partition.offsets) {
    const writer = writerOf(partition.at.get(off)!)
    const number = writer === undefined ? undefined : numbers.get(writer)
    if (number === undefined) continue
    if (before !== undefined && before !== number) graph.add(before, number, 'ww')
    before = number
  }
}

function addReads(graph: Graph, numbers: Numbers, operation: Operation): void {
  if (operation.reads.length === 0) return
  const reader = numbers.get(operation)!
  for (const value of operation.reads) {
    const writer = writerOf(value)
    const number = writer === undefined ? undefined : numbers.get(writer)
    if (number !== undefined && number !== reader) graph.add(number, reader, 'wr')
  }
}

/**
 * The attempt that put a value where it is: the one that says so, or, if all that were answered are duplicates, the
 * only one that was not. A value at two places has no one writer.
 */
function writerOf({ sends, places }: Value): Operation | undefined {
  if (places.length !== 1) return undefined
  const candidates = sends.filter(({ operation, duplicate }) => operation.outcome !== 'fail' && !duplicate)
  if (candidates.length === 1) return candidates[0]!.operation
  const sure = candidates.filter(({ operation }) => operation.outcome === 'ok')
  return sure.length === 1 ? sure[0]!.operation : undefined
}

function addProcesses(graph: Graph, numbers: Numbers, operations: readonly Operation[]): void {
  const last = new Map<string, Operation>()
  for (const operation of operations) {
    const before = last.get(operation.proc)
    if (before !== undefined && before.endSeq < operation.startSeq)
      graph.add(numbers.get(before)!, numbers.get(operation)!, 'process')
    // Of overlapping calls the first is kept; what follows the others follows them in real time too.
    if (before === undefined || before.endSeq < operation.startSeq) last.set(operation.proc, operation)
  }
}

/** Moment n is when the n-th operation ended: after that operation and after moment n - 1. */
function addTime(
  graph: Graph,
  numbers: Numbers,
  operations: readonly Operation[],
  ended: readonly Operation[],
): void {
  const momentOf = (index: number) => operations.length + index
  let passed = 0
  for (const operation of operations) {
    while (passed < ended.length && ended[passed]!.endSeq < operation.startSeq) passed++
    if (passed > 0) graph.add(momentOf(passed - 1), numbers.get(operation)!, 'realtime')
  }
  for (const [index, operation] of ended.entries()) {
    graph.add(numbers.get(operation)!, momentOf(index), 'realtime')
    if (index > 0) graph.add(momentOf(index - 1), momentOf(index), 'realtime')
  }
}
