import { type Mutation, one } from './mutation.ts'

export const otherMutations: readonly Mutation[] = [
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
