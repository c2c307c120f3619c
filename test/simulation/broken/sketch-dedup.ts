import { crc32 } from 'node:zlib'
import type { AppendBatch, AppendedBatch } from '../../../src/engine/engine.ts'
import { memory } from '../../../src/engines/memory/index.ts'
import { type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

const bits = 512

/** Believes its sketch: an id that may have been seen counts as a duplicate, and its event is dropped (N5). */
export function sketchDedup(): SimulatedStorage {
  const { log } = soundStorage()
  const sketch = new Uint8Array(bits)
  const isNew = (id: string): boolean => {
    const bit = crc32(id) % bits
    const before = sketch[bit]
    sketch[bit] = 1
    return before === 0
  }
  return {
    log,
    crash: () => undefined,
    engine: () => {
      const engine = memory({ log })
      return wrapEngine(engine, {
        append: async (group, options) => {
          const kept = group.batches.map(({ records }) => records.map(({ id }) => isNew(id)))
          const batches = group.batches.map((batch, b) => without(batch, kept[b]!))
          const result = await engine.append({ ...group, batches }, options)
          return { ...result, batches: result.batches.map((appended, b) => withDropped(appended, kept[b]!)) }
        },
      })
    },
  }
}

function without(batch: AppendBatch, kept: readonly boolean[]): AppendBatch {
  return {
    ...batch,
    records: batch.records.filter((_, i) => kept[i]),
    callOf: batch.callOf?.filter((_, i) => kept[i]),
  }
}

/** What was dropped is answered like a duplicate, with the place of some other event. */
function withDropped(appended: AppendedBatch, kept: readonly boolean[]): AppendedBatch {
  let next = 0
  const offsets = kept.map((isKept) => {
    const at = isKept ? next++ : Math.max(0, next - 1)
    return Math.max(0, appended.offsets?.[at] ?? appended.firstOffset + at)
  })
  return { ...appended, offsets, duplicates: new Set(kept.flatMap((isKept, i) => (isKept ? [] : [i]))) }
}
