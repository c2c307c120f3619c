import type { Operation, OperationOf } from '../operation.ts'
import type { GroupTask, Tasks } from '../tasks.ts'
import type { Scene, Watcher } from '../watcher.ts'

interface Balance {
  sum: number
  count: number
  min: number
  max: number
}

interface Account {
  readonly sink: string
  readonly group: string
  readonly topic: string
  /** Σ of the effects, by key. */
  readonly effects: Map<string | null, Balance>
  readonly claims: OperationOf<'ledger'>[]
}

/**
 * ledger: what a sink's effects add up to, and what the sink itself says at the end, against sum, count, least and
 * greatest recomputed from the log per key (Kafka Streams' EOS and smoke-test drivers do the same). Only for
 * exactly-once groups in which every event takes effect; dead letters do not count.
 */
export class Ledger implements Watcher {
  readonly #scene: Scene
  readonly #tasks: Tasks
  readonly #accounts = new Map<string, Account>()

  constructor(scene: Scene, tasks: Tasks) {
    this.#scene = scene
    this.#tasks = tasks
  }

  settled(operation: Operation): void {
    if (operation.outcome !== 'ok') return
    if (operation.f === 'ledger') this.#account(operation.call).claims.push(operation)
    if (operation.f !== 'effect' || operation.call.replay !== undefined) return
    const { call } = operation
    const value = this.#scene.model.topic(call.topic).partition(call.p).at.get(call.off)
    count(this.#account(call).effects, call.key ?? value?.key ?? null, call.n ?? value?.n ?? 1)
  }

  finish(): void {
    if (!this.#scene.options.drained) return
    const byGroup = this.#tasksByGroup()
    for (const account of this.#accounts.values()) {
      const tasks = byGroup.get(account.group)?.filter((task) => isAccountable(task, account.topic)) ?? []
      if (tasks.length > 0) this.#judge(account, inputsOf(tasks))
    }
  }

  #judge(account: Account, inputs: ReadonlyMap<string | null, Balance>): void {
    if (account.effects.size > 0) {
      for (const key of new Set([...inputs.keys(), ...account.effects.keys()])) {
        const [expected, found] = [inputs.get(key) ?? nothing, account.effects.get(key) ?? nothing]
        if (expected.sum !== found.sum)
          this.#wrong(account, key, `effects add up to ${found.sum}, the log to ${expected.sum}`)
      }
    }
    for (const claim of account.claims) {
      const expected = inputs.get(claim.call.key) ?? nothing
      for (const name of ['sum', 'count', 'min', 'max'] as const) {
        const found = claim.call[name]
        if (found !== undefined && found !== expected[name])
          this.#wrong(account, claim.call.key, `${name} is ${found}, by the log ${expected[name]}`, claim)
      }
    }
  }

  #wrong({ sink, group, topic }: Account, key: string | null, text: string, operation?: Operation): void {
    this.#scene.findings.add('ledger', () => ({
      text: `sink ${sink} of group ${group}, key ${JSON.stringify(key)}: ${text}`,
      topic,
      group,
      operations: operation === undefined ? [] : [operation],
    }))
  }

  #account({ sink, g, topic }: { sink: string; g: string; topic: string }): Account {
    const name = JSON.stringify([sink, g, topic])
    let account = this.#accounts.get(name)
    if (account === undefined) {
      account = { sink, group: g, topic, effects: new Map(), claims: [] }
      this.#accounts.set(name, account)
    }
    return account
  }

  #tasksByGroup(): Map<string, GroupTask[]> {
    const byGroup = new Map<string, GroupTask[]>()
    for (const task of this.#tasks.answerable()) {
      const tasks = byGroup.get(task.group)
      if (tasks === undefined) byGroup.set(task.group, [task])
      else tasks.push(task)
    }
    return byGroup
  }
}

const nothing: Balance = { sum: 0, count: 0, min: Infinity, max: -Infinity }

function isAccountable({ partition, options }: GroupTask, topic: string): boolean {
  return partition.topic.name === topic && options.guarantee === 'exactly-once' && options.effects === 'each'
}

function inputsOf(tasks: readonly GroupTask[]): Map<string | null, Balance> {
  const inputs = new Map<string | null, Balance>()
  for (const task of tasks) {
    const { from } = task
    for (const [off, value] of task.partition.at) {
      if (off < from || (task.units.get(off)?.deadLetters ?? 0) > 0) continue
      count(inputs, value.key, value.n)
    }
  }
  return inputs
}

function count(balances: Map<string | null, Balance>, key: string | null, n: number): void {
  const balance = balances.get(key)
  if (balance === undefined) {
    balances.set(key, { sum: n, count: 1, min: n, max: n })
    return
  }
  balance.sum += n
  balance.count++
  balance.min = Math.min(balance.min, n)
  balance.max = Math.max(balance.max, n)
}
