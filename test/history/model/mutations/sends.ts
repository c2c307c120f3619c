import type { Line, Lines } from '../lines.ts'
import { type Mutation, one } from './mutation.ts'

export const sendMutations: readonly Mutation[] = [
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
