import { commitOf, type Operation } from '../operation.ts'
import { Pairing } from '../pairing.ts'
import { type HistoryEvent, isNote, type Polled } from '../record.ts'
import { type AnomalyReport, contextOffsets } from './report.ts'

export type PointKind = 'sent' | 'read' | 'handled' | 'committed' | 'effect' | 'dead letter'

/** Something that happened to one offset. */
export interface TimelinePoint {
  readonly atMs: number
  readonly off: number
  readonly kind: PointKind
  readonly outcome: string
  readonly who: string
  readonly val?: string | undefined
}

export interface PartitionTimeline {
  readonly topic: string
  readonly p: number
  /** Offsets that witnesses are about. */
  readonly marked: readonly number[]
  readonly points: readonly TimelinePoint[]
}

const partitionsMax = 12
const offsetsMax = 200
const pointsMax = 600

/** What happened around the witnesses of each bad partition (Jepsen's `orders/`), out of a second reading. */
export function timelines(
  history: Iterable<HistoryEvent>,
  faulty: readonly AnomalyReport[],
): PartitionTimeline[] {
  const drawings = drawingsOf(faulty)
  // An iterator can be read once, and the check has.
  if (drawings.size === 0 || Object.is(history[Symbol.iterator](), history)) return []
  const pairing = new Pairing()
  let seq = 0
  for (const event of history) {
    if (isNote(event)) {
      if (event.f === 'died') pairing.takeOpen(event.v.node)
    } else if (event.type === 'invoke') pairing.start(event, seq)
    else draw(drawings, pairing.settle(event, seq))
    seq++
  }
  return [...drawings.values()].map(({ topic, p, marked, points }) => ({
    topic,
    p,
    marked: [...marked],
    points,
  }))
}

interface Drawing {
  readonly topic: string
  readonly p: number
  readonly marked: Set<number>
  readonly near: Set<number>
  readonly points: TimelinePoint[]
}

type Drawings = ReadonlyMap<string, Drawing>

function drawingsOf(faulty: readonly AnomalyReport[]): Drawings {
  const drawings = new Map<string, Drawing>()
  for (const { topic, p, offsets, context } of faulty.flatMap(({ witnesses }) => witnesses)) {
    if (topic === undefined || p === undefined) continue
    const name = nameOf(topic, p)
    const drawing = drawings.get(name) ?? { topic, p, marked: new Set(), near: new Set(), points: [] }
    if (!drawings.has(name) && drawings.size === partitionsMax) continue
    drawings.set(name, drawing)
    if (drawing.near.size + offsets.length * (2 * contextOffsets + 1) > offsetsMax) continue
    for (const off of offsets) {
      drawing.marked.add(off)
      drawing.near.add(off)
    }
    for (const { off } of context) drawing.near.add(off)
  }
  return drawings
}

function draw(drawings: Drawings, operation: Operation): void {
  if (operation.f === 'publish') {
    if (operation.reply !== undefined)
      point(
        drawings,
        operation,
        'sent',
        operation.call.topic,
        operation.reply.p,
        operation.reply.off,
        operation.call.val,
      )
  } else if (operation.f === 'poll') {
    if (operation.reply !== undefined) drawPolled(drawings, operation, operation.call.topic, operation.reply)
  } else if (operation.f === 'tx' || operation.f === 'publishMany') {
    for (const [index, micro] of operation.call.micro.entries()) {
      const answer = operation.reply?.micro[index]
      if (answer === undefined) continue
      if ('recs' in answer) drawPolled(drawings, operation, micro.topic, answer)
      else if (micro.f === 'send')
        point(drawings, operation, 'sent', micro.topic, answer.p, answer.off, micro.val)
    }
  } else if (operation.f === 'handle') drawStep(drawings, operation, 'handled', operation.call)
  else if (operation.f === 'effect') drawStep(drawings, operation, 'effect', operation.call)
  else if (operation.f === 'dlq') drawStep(drawings, operation, 'dead letter', operation.call)
  const commit = commitOf(operation)
  if (commit !== undefined) drawStep(drawings, operation, 'committed', commit)
}

function drawStep(
  drawings: Drawings,
  operation: Operation,
  kind: PointKind,
  { topic, p, off }: { topic: string; p: number; off: number },
): void {
  point(drawings, operation, kind, topic, p, off)
}

function drawPolled(drawings: Drawings, operation: Operation, topic: string, { recs }: Polled): void {
  for (const p of Object.keys(recs)) {
    if (!drawings.has(nameOf(topic, Number(p)))) continue
    for (const [off, , val] of recs[p]!) point(drawings, operation, 'read', topic, Number(p), off, val)
  }
}

function point(
  drawings: Drawings,
  operation: Operation,
  kind: PointKind,
  topic: string,
  p: number,
  off: number,
  val?: string,
): void {
  const drawing = drawings.get(nameOf(topic, p))
  if (drawing === undefined || !drawing.near.has(off) || drawing.points.length === pointsMax) return
  const { outcome, proc, startT, endT } = operation
  drawing.points.push({ atMs: Number.isFinite(endT) ? endT : startT, off, kind, outcome, who: proc, val })
}

function nameOf(topic: string, p: number): string {
  return `${topic}/${p}`
}
