import type { Fields, Line, Lines, Pair } from '../lines.ts'
import { type Mutation, one } from './mutation.ts'

export const groupMutations: readonly Mutation[] = [
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
