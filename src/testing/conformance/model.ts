import assert from 'node:assert/strict'
import type { Lease } from '../../engine/engine.ts'
import { hasCode, isSemelError } from '../../errors.ts'
import type { EventRecord } from '../../event/event.ts'
import { appendedOf, type Call, groupOf, type Instance } from './instance.ts'
import { LogModel, TaskModel } from './log-model.ts'
import { batchOf, record } from './records.ts'
import { SeededRandom } from './seeded-random.ts'
import { type Case, checkIf } from './suite.ts'

const partitions = 3
const topics = ['orders', 'invoices'] as const
const groups = 120
const units = 60
const seeds = [1, 20_260_101, 987_654_321]

export const modelTests: readonly Case[] = seeds.map((seed) => {
  const name = `random publishes and units, all at once, come to what a simple model says (seed ${seed})`
  return checkIf({ dedup: 'topic', denseOffsets: true }, name, async (bed) => {
    const one = await bed.instance()
    const run = new ModelRun(one, seed)
    await run.prepare()
    await Promise.all([run.publish(), run.commit()])
    await run.compare(one)
    await run.compare(await bed.reopen(one))
  })
})

/** Drives an engine and a model side by side. What is emitted goes to partitions of its own task, so order is known. */
class ModelRun {
  readonly #one: Instance
  readonly #seed: number
  readonly #log = new LogModel()
  readonly #tasks: TaskModel[] = []
  #leases: readonly Lease[] = []

  constructor(one: Instance, seed: number) {
    this.#one = one
    this.#seed = seed
  }

  async prepare(): Promise<void> {
    await this.#one.declare(...[...topics, 'emitted'].map((name) => ({ name, partitions })), {
      name: 'source',
      partitions,
    })
    const member = await this.#one.join('billing', { source: partitions })
    await member.holds(partitions)
    for (let partition = 0; partition < partitions; partition++) this.#tasks.push(new TaskModel(partition))
    this.#leases = this.#tasks.map((_, partition) => member.lease('source', partition))
  }

  /** Groups of calls, several of them under way, with known ids, conflicts and unaware publishers among them. */
  async publish(): Promise<void> {
    const random = new SeededRandom(this.#seed)
    let failuresSeen = 0
    for (let g = 0; g < groups; ) {
      const flight = Array.from({ length: 1 + random.below(3) }, () => {
        const calls = Array.from({ length: 1 + random.below(4) }, () => randomCall(random))
        return { group: groupOf(calls, failuresSeen), expected: this.#log.append(calls, failuresSeen) }
      })
      g += flight.length
      const results = await Promise.all(flight.map(({ group }) => this.#one.append(group)))
      for (const [index, result] of results.entries()) {
        const { group, expected } = flight[index]!
        const failures = [...result.failures].map(([call, error]) => [
          call,
          isSemelError(error) && error.code,
        ])
        assert.deepEqual(failures.sort(), [...expected.failures].sort())
        for (const [b, { topic, partition, records }] of group.batches.entries()) {
          const { offsets, duplicates } = appendedOf(result, b, records.length)
          const answer = expected.answers.get(`${topic}/${partition}`)!
          assert.deepEqual(
            offsets.filter((_, i) => !result.failures.has(group.batches[b]!.callOf![i]!)),
            answer.offsets,
          )
          assert.deepEqual(duplicates, answer.duplicates)
        }
        failuresSeen += result.failures.size
      }
    }
  }

  async commit(): Promise<void> {
    await Promise.all(this.#tasks.map((task, index) => this.#runTask(task, this.#leases[index]!)))
  }

  async #runTask(task: TaskModel, lease: Lease): Promise<void> {
    const random = new SeededRandom(this.#seed + task.partition + 1)
    for (let u = 0; u < units; u++) {
      const from = random.chance(15) ? (task.position ?? 0) + 1 : task.position
      const to = (from ?? 0) + random.below(3)
      const events = Array.from({ length: random.below(4) }, () => {
        return record(`${task.partition}-${random.below(60)}`, random.chance(8) ? 'other' : 'usual')
      })
      const keys = [...new Set(Array.from({ length: random.below(5) }, () => `k${random.below(20)}`))]
      const values = keys.map(() => (random.chance(30) ? undefined : `${u}`))
      const expected = task.commit(from, to, events, keys, values)
      const place = { topic: 'emitted', partition: task.partition }
      const parts = {
        appends: events.length === 0 ? [] : [batchOf(events, place)],
        state: keys.length === 0 ? [] : [{ store: 's', keys, values }],
      }
      const outcome = await this.#one.commit(lease, from, to, parts).then(
        () => 'committed',
        (error: unknown) => (isSemelError(error) ? error.code : error),
      )
      assert.equal(outcome, expected, `unit ${u} of task ${task.partition}`)
      if (outcome === 'committed') continue
      assert.equal((await this.#one.engine.load(lease)).position, task.position)
    }
  }

  async compare(one: Instance): Promise<void> {
    for (const topic of topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const events = (await one.readAll(topic, partition)).map(
          ({ id, data }) => `${id}:${JSON.stringify(data)}`,
        )
        assert.deepEqual(events, this.#log.contents(topic, partition), `${topic}/${partition}`)
      }
    }
    for (const task of this.#tasks) {
      const { partition } = task
      assert.deepEqual(await one.ids('emitted', partition), task.emittedIds)
      const id = { group: 'billing', topic: 'source', partition }
      assert.deepEqual(await one.state(id, 's'), Object.fromEntries(task.state))
    }
    await assert.rejects(one.commit({ ...this.#leases[0]!, epoch: 1_000_000 }, undefined, 0), (error) =>
      hasCode(error, 'FENCED'),
    )
  }
}

function randomCall(random: SeededRandom): Call {
  const parts = new Map<string, { topic: string; partition: number; records: EventRecord[] }>()
  for (let i = 1 + random.below(4); i > 0; i--) {
    const topic = random.pick(topics)
    const partition = random.below(partitions)
    const name = `${topic}/${partition}`
    const part = parts.get(name) ?? { topic, partition, records: [] }
    parts.set(name, part)
    part.records.push(record(`id-${random.below(250)}`, random.chance(6) ? 'other' : 'usual'))
  }
  return [...parts.values()]
}
