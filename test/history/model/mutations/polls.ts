import type { Hit, Line, Lines, Rec } from '../lines.ts'
import { type Mutation, one } from './mutation.ts'

export const pollMutations: readonly Mutation[] = [
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
