import type { AnomalyName } from '../../../src/testing/history/index.ts'
import type { Fields, Hit, Line, Lines, Pair, Rec } from './lines.ts'

/** A change of meaning. */
export interface Mutation {
  readonly name: string
  /** One of these must be found. */
  readonly caughtAs: readonly AnomalyName[]
  /** Changes the history; false if there is nothing in it to change. */
  readonly apply: (h: Lines) => boolean
}

/** Applies a change to one of the candidates. */
function one<T>(h: Lines, candidates: readonly T[], change: (chosen: T) => void): boolean {
  const chosen = h.pick(candidates)
  if (chosen === undefined) return false
  change(chosen)
  return true
}

const polls: readonly Mutation[] = [
  {
    name: 'drop a polled value',
    caughtAs: ['int-poll-skip'],
    apply: (h) =>
      one(
        h,
        h.hits().filter(({ index, list }) => index > 0 && index < list.length - 1),
        ({ list, index }) => list.splice(index, 1),
      ),
  },
  {
    name: 'drop a polled value between two polls',
    caughtAs: ['poll-skip'],
    apply: (h) => one(h, continued(h), ({ list, index }) => list.splice(index, 1)),
  },
  {
    name: 'move a polled value to another offset',
    caughtAs: ['duplicate', 'dedup-break'],
    apply: (h) => one(h, h.hits(), ({ rec }) => (rec[0] += 1000)),
  },
  {
    name: 'move a polled value to the offset of another one',
    caughtAs: ['inconsistent-offset'],
    apply: (h) =>
      one(
        h,
        h.hits().filter(({ index }) => index > 0),
        ({ rec, list, index }) => (rec[0] = list[index - 1]![0]),
      ),
  },
  {
    name: 'repeat a polled value at another offset',
    caughtAs: ['duplicate'],
    apply: (h) =>
      one(h, h.hits(), ({ list, rec }) => list.push([list.at(-1)![0] + 5000, ...rec.slice(1)] as typeof rec)),
  },
  {
    name: 'repeat a polled value at its offset',
    caughtAs: ['int-nonmonotonic-poll'],
    apply: (h) => one(h, h.hits(), ({ list, rec, index }) => list.splice(index, 0, [...rec])),
  },
  {
    name: 'swap two polled records',
    caughtAs: ['int-nonmonotonic-poll'],
    apply: (h) =>
      one(
        h,
        h.hits().filter(({ index }) => index > 0),
        ({ list, index, rec }) => {
          list[index] = list[index - 1]!
          list[index - 1] = rec
        },
      ),
  },
  {
    name: 'poll again what a session had',
    caughtAs: ['nonmonotonic-poll'],
    apply: (h) => one(h, continued(h), ({ rec, line, p }) => nextPoll(h, line, p)!.unshift([...rec])),
  },
  ...(['CRC', 'id', 'key'] as const).map(
    (what): Mutation => ({
      name: `alter the ${what} of a polled value`,
      caughtAs: ['corrupt'],
      apply: (h) =>
        one(h, h.hits(), ({ rec }) => {
          if (what === 'CRC') rec[3] ^= 1
          else rec[what === 'id' ? 1 : 4] = 'altered'
        }),
    }),
  ),
  {
    name: 'poll a value that nobody sent',
    caughtAs: ['phantom'],
    apply: (h) =>
      one(h, h.hits(), ({ list }) => list.push([list.at(-1)![0] + 5000, 'ghost', 'ghost', 1, 'red'])),
  },
]

/** Last records of a poll after which the session reads on without being told to go elsewhere. */
function continued(h: Lines): Hit[] {
  return h.hits().filter(({ line, p, index, list }) => {
    return index === list.length - 1 && list.length > 1 && nextPoll(h, line, p) !== undefined
  })
}

function nextPoll(h: Lines, line: Line, p: number): Rec[] | undefined {
  for (const next of h.lines.slice(h.positionOf(line) + 1)) {
    if (next.sess !== line.sess) continue
    if ((next.f === 'assign' || next.f === 'seek') && next.v.p === p) return undefined
    const list = next.type === 'invoke' ? undefined : next.v.recs?.[p]
    if (list !== undefined && list.length > 0) return list
  }
  return undefined
}

const sends: readonly Mutation[] = [
  {
    name: 'flip ok to fail',
    caughtAs: ['G1a', 'outcome-lie'],
    apply: (h) =>
      one(h, h.sentOnce(), ({ settled }) => Object.assign(settled, { type: 'fail', err: 'BUSY', v: {} })),
  },
  {
    name: 'flip an unknown first attempt to fail, before its duplicate',
    caughtAs: ['outcome-lie', 'G1a'],
    apply: (h) => one(h, retried(h), (settled) => Object.assign(settled, { type: 'fail', err: 'BUSY' })),
  },
  {
    name: 'decrease the offset of a reply',
    caughtAs: ['inconsistent-offset', 'duplicate', 'dedup-break'],
    apply: (h) =>
      one(
        h,
        h.sentOnce().filter(({ settled }) => settled.v.off! > 0),
        ({ settled }) => settled.v.off!--,
      ),
  },
  {
    name: 'answer a duplicate with another offset',
    caughtAs: ['dedup-break'],
    apply: (h) =>
      one(
        h,
        h.pairs('publish').filter(({ settled }) => settled.v.dup === true),
        ({ settled }) => (settled.v.off! += 1000),
      ),
  },
  {
    name: 'lose every trace of an acknowledged event',
    caughtAs: ['lost-write', 'unseen'],
    apply: (h) => one(h, h.sentOnce(), ({ settled }) => h.forget(settled.v.p!, settled.v.off!)),
  },
  {
    name: 'cut a transaction in half',
    caughtAs: ['torn-tx'],
    apply: (h) =>
      one(
        h,
        [...h.pairs('tx'), ...h.pairs('publishMany')].filter(({ invoke }) => invoke.v.micro!.length > 1),
        ({ settled }) => {
          const { p, off } = settled.v.micro![0]!
          h.forget(p!, off!)
        },
      ),
  },
  {
    name: 'never answer a call',
    caughtAs: ['hang'],
    apply: (h) =>
      one(h, h.sentOnce(), ({ settled }) => {
        h.remove(new Set([settled]))
        h.lines.at(-1)!.t += 60_000
      }),
  },
  {
    name: 'send one id with another content, and accept it',
    caughtAs: ['dedup-break'],
    apply: (h) =>
      one(h, h.sentOnce(), ({ invoke, settled }) => {
        const again = h.after(settled, { ...structuredClone(invoke), type: 'invoke' })
        again.v.val = 'other content'
        h.after(again, {
          ...structuredClone(settled),
          of: again.i,
          v: { p: settled.v.p!, off: settled.v.off! + 7000 },
        })
      }),
  },
  {
    name: 'exchange two events of one key, everywhere',
    caughtAs: ['G0-process', 'G0-realtime', 'nonmonotonic-send'],
    apply: (h) => one(h, successive(h), ([a, b]) => exchange(h, a, b)),
  },
]

/** Unknown first attempts of events whose retry was answered as a duplicate. */
function retried(h: Lines): Line[] {
  const unknown = h.pairs('publish', 'info')
  return h.pairs('publish').flatMap(({ invoke, settled }) => {
    if (settled.v.dup !== true || h.sends(invoke.v.val!).length !== 2) return []
    const first = unknown.find((pair) => pair.invoke.v.val === invoke.v.val)
    return first !== undefined && h.positionOf(first.settled) < h.positionOf(invoke) ? [first.settled] : []
  })
}

/** Two calls of one key, the second sent after the first was answered. */
function successive(h: Lines): [Pair, Pair][] {
  const once = h.sentOnce()
  return once.flatMap((a) =>
    once
      .filter((b) => b.invoke.v.key === a.invoke.v.key && h.positionOf(b.invoke) > h.positionOf(a.settled))
      .slice(0, 1)
      .map((b): [Pair, Pair] => [a, b]),
  )
}

/** As if the engine had stored them the other way round: readers, handlers and sink agree with it. */
function exchange(h: Lines, a: Pair, b: Pair): void {
  const [offA, offB] = [a.settled.v.off!, b.settled.v.off!]
  a.settled.v.off = offB
  b.settled.v.off = offA
  const contents = ({ invoke: { v } }: Pair) =>
    [v.id!, v.val!, Reflect.get(v, 'crc') as number, v.key!] as const
  const put = (off: number, p: number, pair: Pair) => {
    for (const hit of h.hits()) if (hit.p === p && hit.rec[0] === off) hit.rec.splice(1, 4, ...contents(pair))
    for (const { f, v } of h.lines) {
      if (v.p !== p || v.off !== off) continue
      if (f === 'handle' && v.id !== undefined) v.id = pair.invoke.v.id!
      if (f === 'effect') v.n = pair.invoke.v.n!
    }
  }
  const p = a.settled.v.p!
  put(offA, p, b)
  put(offB, p, a)
}

const groups: readonly Mutation[] = [
  {
    name: 'drop what a handler did',
    caughtAs: ['under-consume'],
    apply: (h) =>
      one(h, h.alone('effect'), ({ v }) => {
        const gone = [...h.pairs('handle'), ...h.pairs('handle', 'fail')].filter(
          ({ invoke }) => invoke.v.p === v.p && invoke.v.off === v.off,
        )
        const effects = h.alone('effect').filter((line) => line.v.p === v.p && line.v.off === v.off)
        h.remove(new Set([...gone.flatMap(({ invoke, settled }) => [invoke, settled]), ...effects]))
      }),
  },
  {
    name: 'drop an effect',
    caughtAs: ['under-consume'],
    apply: (h) =>
      h.alone('effect').length > 1 && one(h, h.alone('effect'), (line) => h.remove(new Set([line]))),
  },
  {
    name: 'repeat an effect',
    caughtAs: ['over-consume'],
    apply: (h) => one(h, h.alone('effect'), (line) => h.after(line, {})),
  },
  {
    name: 'alter the amount of an effect',
    caughtAs: ['ledger'],
    apply: (h) => one(h, h.alone('effect'), ({ v }) => v.n!++),
  },
  {
    name: 'alter the final balance',
    caughtAs: ['ledger'],
    apply: (h) => one(h, h.alone('ledger'), ({ v }) => v.sum!++),
  },
  {
    name: 'swap two effects of a key',
    caughtAs: ['key-order-break'],
    apply: (h) => one(h, sameKey(h.alone('effect')), ([a, b]) => swap(a.v, b.v)),
  },
  {
    name: 'swap two first successes of a key',
    caughtAs: ['key-order-break', 'commit-ahead'],
    apply: (h) => one(h, sameKey(firstSuccesses(h)), ([a, b]) => swap(a.v, b.v)),
  },
  {
    name: 'park an event that took effect',
    caughtAs: ['both-ways'],
    apply: (h) =>
      one(h, h.alone('effect'), (line) => {
        const { g, topic, p, off, epoch } = line.v
        h.after(line, { f: 'dlq', v: { g, topic, p, off, epoch } as Fields })
      }),
  },
  {
    name: 'park a dead letter again',
    caughtAs: ['both-ways'],
    apply: (h) =>
      one(h, h.pairs('dlq'), ({ invoke, settled }) =>
        h.after(settled, { of: undefined, v: { ...invoke.v } }),
      ),
  },
  {
    name: 'raise a committed position',
    caughtAs: ['commit-ahead', 'commit-back'],
    apply: (h) => one(h, raisable(h), ({ invoke }) => (invoke.v.off! += 1)),
  },
  {
    name: 'decrease a committed position',
    caughtAs: ['commit-back'],
    apply: (h) => one(h, later(h), ({ invoke }) => (invoke.v.off = 0)),
  },
  {
    name: 'lower an epoch',
    caughtAs: ['fence-break'],
    apply: (h) =>
      one(
        h,
        h.pairs('commit').filter(({ invoke }) => invoke.v.epoch! > 1),
        ({ invoke }) => invoke.v.epoch!--,
      ),
  },
  {
    name: 'accept a fenced commit',
    caughtAs: ['fence-break'],
    apply: (h) => one(h, h.pairs('commit', 'fail'), ({ settled }) => Object.assign(settled, { type: 'ok' })),
  },
  {
    name: 'grant an epoch twice',
    caughtAs: ['fence-break'],
    apply: (h) =>
      one(
        h,
        h.pairs('acquire').filter(({ settled }) => settled.v.epoch! > 1),
        ({ settled }) => settled.v.epoch!--,
      ),
  },
]

/** Successive lines of one key in one partition. */
function sameKey(lines: readonly Line[]): [Line, Line][] {
  return lines.flatMap((a, index) => {
    const b = lines.slice(index + 1).find((line) => line.v.p === a.v.p && line.v.key === a.v.key)
    return b === undefined || b.v.off! <= a.v.off! ? [] : [[a, b] as [Line, Line]]
  })
}

/** Invokes of handlers that succeeded at once, each for the only time. */
function firstSuccesses(h: Lines): Line[] {
  const all = ['ok', 'fail', 'info'].flatMap((type) => h.pairs('handle', type))
  return h
    .pairs('handle')
    .map(({ invoke }) => invoke)
    .filter(({ v }) => all.filter(({ invoke }) => invoke.v.p === v.p && invoke.v.off === v.off).length === 1)
}

function swap(a: Fields, b: Fields): void {
  const { off, id, n } = a
  Object.assign(a, { off: b.off, id: b.id, n: b.n })
  Object.assign(b, { off, id, n })
}

/** Commits after which there is more in the log that was not settled by then. */
function raisable(h: Lines): Pair[] {
  return h.pairs('commit').filter(({ invoke, settled }) => {
    const { p, off } = invoke.v
    const isThere = h.hits().some((hit) => hit.p === p && hit.rec[0] === off)
    const begun = h.lines
      .slice(0, h.positionOf(settled))
      .some(({ f, v }) => (f === 'handle' || f === 'dlq') && v.p === p && v.off === off)
    return isThere && !begun
  })
}

/** Commits that are not the first of their partition. */
function later(h: Lines): Pair[] {
  const commits = h.pairs('commit')
  return commits.filter(({ invoke }, index) =>
    commits.slice(0, index).some((other) => other.invoke.v.p === invoke.v.p),
  )
}

const others: readonly Mutation[] = [
  {
    name: 'recover less than was acknowledged',
    caughtAs: ['prefix-break'],
    apply: (h) =>
      one(h, h.sentOnce(), ({ invoke, settled }) => {
        h.after(settled, {
          f: 'recovered',
          of: undefined,
          v: { topic: invoke.v.topic!, p: settled.v.p!, end: settled.v.off! },
        })
      }),
  },
  {
    name: 'become another log',
    caughtAs: ['prefix-break'],
    apply: (h) => {
      const recovered = h.pairs('recovered')
      const second = recovered.filter(({ invoke }, index) =>
        recovered.slice(0, index).some((other) => other.invoke.v.p === invoke.v.p),
      )
      return one(h, second, ({ settled }) => (settled.v.logId = 'another'))
    },
  },
  {
    name: 'scan something else',
    caughtAs: ['replay-diff', 'prefix-break'],
    apply: (h) =>
      one(h, h.pairs('scan'), ({ invoke, settled }) => {
        const again = h.after(settled, { ...structuredClone(invoke), type: 'invoke' })
        h.after(again, { ...structuredClone(settled), of: again.i, v: { ...settled.v, hash: 'else' } })
      }),
  },
  {
    name: 'answer one idempotency key in two ways',
    caughtAs: ['http-key-break'],
    apply: (h) => {
      const good = h.pairs('http').filter(({ settled }) => settled.v.status === 201)
      const repeated = good.filter(({ invoke }, index) =>
        good.slice(0, index).some((other) => other.invoke.v.key === invoke.v.key),
      )
      return one(h, repeated, ({ settled }) => (settled.v.bodyHash = 'another'))
    },
  },
]

export const mutations: readonly Mutation[] = [...polls, ...sends, ...groups, ...others]
