import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { appendedOf, offsetIn } from '../../../src/engines/sqlite/batch-outcome.ts'
import { toWireBatches } from '../../../src/engines/sqlite/encode-request.ts'
import { batch, newFile, newFileOfFormat1, record, WriterRig } from './rig.ts'

const windowMs = 20_000
const partitions = 3
const small = { hotIdsMax: 40, hotIdsTotalMax: 1_000, sealSliceMs: 0 }

interface Accepted {
  readonly offset: number
  readonly content: number
  readonly atMs: number
}

/** What the log must answer: a map from id to the first event inside the window. */
class Model {
  readonly #ids = new Map<string, Accepted>()
  readonly #ends = new Array<number>(partitions).fill(0)
  duplicates = 0
  expired = 0

  /** Offsets of a call, or `undefined` if it must fail for a conflict. */
  append(
    ids: readonly (readonly [string, number])[],
    partition: number,
    nowMs: number,
  ): number[] | undefined {
    const before = new Map(this.#ids)
    let end = this.#ends[partition]!
    const offsets: number[] = []
    let [duplicates, expired] = [0, 0]
    for (const [id, content] of ids) {
      const known = this.#ids.get(id)
      if (known !== undefined && known.atMs > nowMs - windowMs) {
        if (known.content !== content) {
          this.#ids.clear()
          for (const [key, value] of before) this.#ids.set(key, value)
          return undefined
        }
        offsets.push(known.offset)
        duplicates++
        continue
      }
      if (known !== undefined) expired++
      this.#ids.set(id, { offset: end, content, atMs: nowMs })
      offsets.push(end++)
    }
    this.#ends[partition] = end
    this.duplicates += duplicates
    this.expired += expired
    return offsets
  }
}

type Step =
  | {
      readonly op: 'append'
      readonly ids: readonly (readonly [number, number])[]
      readonly partition: number
    }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'chores'; readonly most: number }
  | { readonly op: 'reopen' }
  | { readonly op: 'other' }
  | {
      readonly op: 'rollback'
      readonly ids: readonly (readonly [number, number])[]
      readonly partition: number
    }

const ids = fc.array(fc.tuple(fc.nat(900), fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, fc.nat(1))), {
  minLength: 1,
  maxLength: 40,
  size: 'max',
})
const partition = fc.nat(partitions - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ op: fc.constant('append' as const), ids, partition }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('chores' as const), most: fc.nat(40) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('wait' as const),
      ms: fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, fc.nat(9_000)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('rollback' as const), ids, partition }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('other' as const) }) },
)

/** UUIDs, others that are nearly the same, and names. */
function idOf(n: number): string {
  const kind = n % 3
  if (kind === 2) return `id-${n}`
  const uuid = `${String(n - kind).padStart(8, '0')}-abcd-4000-8000-000000000000`
  return kind === 0 ? uuid : uuid.toUpperCase()
}

/** One file, two writers on it that are used in turn, and the model. */
class World {
  readonly #file: string
  readonly #writers: WriterRig[]
  #current = 0
  readonly model = new Model()
  now = 1_700_000_000_000

  constructor(file: string) {
    this.#file = file
    this.#writers = [this.#open(), this.#open()]
  }

  run(steps: readonly Step[]): void {
    for (const next of steps) this.#step(next)
  }

  get rig(): WriterRig {
    const rig = this.#writers[this.#current]!
    rig.now = this.now
    return rig
  }

  close(): void {
    for (const rig of this.#writers) rig.close()
  }

  #open(): WriterRig {
    const rig = new WriterRig(this.#file, small)
    rig.declare('orders', partitions, windowMs)
    return rig
  }

  #step(next: Step): void {
    if (next.op === 'wait') this.now += next.ms
    else if (next.op === 'chores') this.rig.doChores(next.most)
    else if (next.op === 'other') this.#current = 1 - this.#current
    else if (next.op === 'reopen') {
      this.rig.close()
      this.#writers[this.#current] = this.#open()
    } else if (next.op === 'append') this.#append(next.ids, next.partition)
    else this.#rollBack(next.ids, next.partition)
  }

  #append(pairs: readonly (readonly [number, number])[], at: number): void {
    const named = pairs.map(([id, content]) => [idOf(id), content] as const)
    const expected = this.model.append(named, at, this.now)
    const reply = this.rig.append([batch(recordsOf(named), 'orders', at)])
    if (expected === undefined) {
      assert.equal(reply.failures[0]?.[1].code, 'ID_CONFLICT')
      return
    }
    assert.deepEqual(reply.failures, [])
    const { firstOffset, offsets } = appendedOf(reply.batches[0]!, named.length)
    assert.deepEqual(offsets ?? named.map((_, i) => firstOffset + i), expected)
    assert.deepEqual(
      named.map((_, i) => offsetIn(reply.batches[0]!, i)),
      expected,
    )
  }

  /** A unit that fails after its events were written: nothing of them may be remembered. */
  #rollBack(pairs: readonly (readonly [number, number])[], at: number): void {
    const records = recordsOf(pairs.map(([id, content]) => [idOf(id), content] as const))
    const task = { group: 'g', topic: 'orders', partition: at }
    this.rig.run({ op: 'acquire', task, member: 'm', leaseMs: 1_000, observedEpoch: 0 })
    const impossible = { store: 's', keys: ['k'], values: [Symbol('no text') as unknown as string] }
    const batches = toWireBatches([batch(records, 'orders', at)])
    const unit = { op: 'unit', task, epoch: 1, from: undefined, to: 1, logId: 'x', batches } as const
    assert.throws(() => this.rig.run({ ...unit, state: [impossible] }))
  }

  /** Most generations there ever were, and whether some were merged. */
  get generations(): number {
    const row = this.rig.database.prepare("select value from semel_meta where name = 'generations'").get()
    return Number(row?.value)
  }

  get merged(): number {
    const row = this.rig.database
      .prepare('select count(*) as n from semel_id_generation where rank <> id')
      .get()
    return Number(row?.n)
  }
}

function recordsOf(named: readonly (readonly [string, number])[]) {
  return named.map(([id, content]) => record(id, { content }))
}

describe('deduplication against a map (N1, N2, N3, N4, N5)', () => {
  test('any mix of appends, seals, merges, waits, reopens, rollbacks and two writers, in both formats', () => {
    let [duplicates, expired, generations, merged] = [0, 0, 0, 0]
    const steps = fc.array(step, { minLength: 100, maxLength: 400, size: 'max' })
    fc.assert(
      fc.property(steps, fc.boolean(), (list, isOld) => {
        const world = new World(isOld ? newFileOfFormat1() : newFile())
        try {
          world.run(list)
          duplicates += world.model.duplicates
          expired += world.model.expired
          generations += world.generations
          merged += world.merged
        } finally {
          world.close()
        }
      }),
      // One seed: the counts below say what it tested, and must not depend on luck.
      { numRuns: 30, seed: 20_261_121 },
    )
    const tested = `${duplicates} duplicates, ${expired} expired, ${generations} built, ${merged} merged`
    assert.ok(duplicates > 1_000 && expired > 200 && generations > 50 && merged > 5, `tested: ${tested}`)
  })
})
