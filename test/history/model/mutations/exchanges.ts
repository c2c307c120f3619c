import type { Fields, Line, Lines, Pair, Rec } from '../lines.ts'
import { type Mutation, one } from './mutation.ts'

/** One event of an acknowledged call, sent once. */
interface Placement {
  readonly sent: Fields
  readonly placed: Fields
  readonly call: Pair
}

/** What only a log in another order would show: readers, handlers and sink all agree with it. */
export const exchangeMutations: readonly Mutation[] = [
  {
    name: 'exchange two events of one key, everywhere',
    caughtAs: ['G0', 'G0-process', 'G0-realtime', 'nonmonotonic-send'],
    apply: (h) =>
      exchangeOne(h, (a, b) => a.sent.key === b.sent.key && isBefore(h, a.call.settled, b.call.invoke)),
  },
  {
    name: 'exchange two calls of a session that were under way at once, everywhere',
    caughtAs: ['nonmonotonic-send'],
    apply: (h) =>
      exchangeOne(
        h,
        (a, b) =>
          a.call.invoke.sess === b.call.invoke.sess &&
          isBefore(h, a.call.invoke, b.call.invoke) &&
          isBefore(h, b.call.invoke, a.call.settled),
      ),
  },
  {
    name: 'exchange two events of one call, everywhere',
    caughtAs: ['int-nonmonotonic-send'],
    apply: (h) => exchangeOne(h, (a, b) => a.call.invoke === b.call.invoke && a.placed.off! < b.placed.off!),
  },
  {
    name: 'put a foreign event into the middle of a call',
    caughtAs: ['int-send-skip'],
    apply: (h) => {
      const all = placements(h)
      return exchangeOne(
        h,
        (a, b) => {
          const isLast = all.every(
            (each) =>
              each.call !== a.call || each.placed.p !== a.placed.p || each.placed.off! <= a.placed.off!,
          )
          const hasOther = all.some(
            (each) => each !== a && each.call === a.call && each.placed.p === a.placed.p,
          )
          const isNext = all.every(
            (each) =>
              each.placed.p !== a.placed.p ||
              each.placed.off! <= a.placed.off! ||
              each.placed.off! >= b.placed.off!,
          )
          return a.call !== b.call && isLast && hasOther && isNext && b.placed.off! > a.placed.off!
        },
        all,
      )
    },
  },
  {
    name: 'let two calls come in opposite order in two partitions',
    caughtAs: ['G0'],
    apply: (h) => {
      const all = placements(h)
      const only = ({ call, placed }: Placement) =>
        all.filter((each) => each.call === call && each.placed.p === placed.p).length === 1
      const elsewhere = (a: Placement, b: Placement) =>
        all.some(
          (c) =>
            c.call === a.call &&
            c.placed.p !== a.placed.p &&
            all.some((d) => d.call === b.call && d.placed.p === c.placed.p && d.placed.off! > c.placed.off!),
        )
      return exchangeOne(
        h,
        (a, b) => a.call !== b.call && a.placed.off! < b.placed.off! && only(a) && only(b) && elsewhere(a, b),
        all,
      )
    },
  },
  {
    name: 'answer with another partition than the key belongs to',
    caughtAs: ['wrong-partition'],
    apply: (h) =>
      one(h, h.sentOnce(), ({ settled: { v } }) => Object.assign(v, { p: (v.p! + 1) % 3, off: 9000 })),
  },
  {
    name: 'let a transaction read its own event',
    caughtAs: ['precommitted-read'],
    apply: (h) => one(h, transactions(h), (own) => read(own.call, own)),
  },
  {
    name: 'let two transactions read each other',
    caughtAs: ['G1c'],
    apply: (h) => {
      const [first, ...rest] = transactions(h)
      const others = rest.filter(({ call }) => call !== first?.call)
      return one(h, others, (other) => {
        read(first!.call, other)
        read(other.call, first!)
      })
    },
  },
  {
    name: 'read an event before it was sent',
    caughtAs: ['G1c-realtime'],
    apply: (h) =>
      one(h, placements(h), (event) => {
        const { t } = h.lines[0]!
        const poll = { t, node: 'early', proc: 'early', sess: 'early', f: 'poll' }
        h.lines.unshift(
          { ...poll, i: 0, type: 'invoke', v: { topic: event.sent.topic! } },
          { ...poll, i: 1, of: 0, type: 'ok', v: recordOf(event) },
        )
      }),
  },
]

function placements(h: Lines): Placement[] {
  const batches = [...h.pairs('tx'), ...h.pairs('publishMany')].flatMap((call) =>
    call.invoke.v.micro!.map((sent, n) => ({ sent, placed: call.settled.v.micro![n]!, call })),
  )
  const singles = h.pairs('publish').map((call) => ({ sent: call.invoke.v, placed: call.settled.v, call }))
  return [...singles, ...batches].filter(
    ({ sent, placed }) => placed.dup !== true && h.sends(sent.val!).length === 1,
  )
}

function transactions(h: Lines): Placement[] {
  return placements(h).filter(({ call }) => call.invoke.f === 'tx')
}

function isBefore(h: Lines, a: Line, b: Line): boolean {
  return h.positionOf(a) < h.positionOf(b)
}

/** Exchanges two events of one partition for which `fits` holds. */
function exchangeOne(
  h: Lines,
  fits: (a: Placement, b: Placement) => boolean,
  all: readonly Placement[] = placements(h),
): boolean {
  const pairs = all.flatMap((a) =>
    all.filter((b) => a !== b && a.placed.p === b.placed.p && fits(a, b)).map((b) => [a, b] as const),
  )
  return one(h, pairs, ([a, b]) => {
    const [offA, offB] = [a.placed.off!, b.placed.off!]
    a.placed.off = offB
    b.placed.off = offA
    const hits = h.hits().filter(({ p }) => p === a.placed.p)
    const lines = h.lines.filter(({ v }) => v.p === a.placed.p)
    const steps = [offA, offB].map((off) =>
      lines.filter((line) => line.v.off === off && line.v.g !== undefined),
    )
    for (const { rec } of hits) {
      const event = rec[0] === offA ? b : rec[0] === offB ? a : undefined
      if (event !== undefined) rec.splice(1, 4, ...contentsOf(event))
    }
    for (const line of steps[0]!) assign(line, b)
    for (const line of steps[1]!) assign(line, a)
  })
}

function assign({ f, v }: Line, { sent }: Placement): void {
  if (v.id !== undefined) v.id = sent.id!
  if (v.key !== undefined) v.key = sent.key!
  if (f === 'effect') v.n = sent.n!
}

function contentsOf({ sent }: Placement): [string, string, number, string] {
  return [sent.id!, sent.val!, sent.crc!, sent.key!]
}

function recordOf(event: Placement): { recs: Record<string, Rec[]> } {
  return { recs: { [event.placed.p!]: [[event.placed.off!, ...contentsOf(event)]] } }
}

/** Adds a read of an event to a call. */
function read({ invoke, settled }: Pair, event: Placement): void {
  const poll: Fields = { topic: event.sent.topic! }
  invoke.v.micro!.push(Object.assign(poll, { f: 'poll' }))
  settled.v.micro!.push(recordOf(event))
}
