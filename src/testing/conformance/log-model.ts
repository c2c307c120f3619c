import type { EventRecord } from '../../event/event.ts'
import type { Call } from './instance.ts'

interface ModelEvent {
  readonly content: string
  readonly offset: number
}

interface ModelAnswer {
  readonly offsets: number[]
  readonly duplicates: number[]
}

export interface ModelResult {
  readonly failures: ReadonlyMap<number, string>
  /** By partition: offsets of the records of calls that did not fail, and places of duplicates. */
  readonly answers: ReadonlyMap<string, ModelAnswer>
}

/** What N1, N2, P1, P2 and P3 say about appends, written as plainly as can be and sharing no code with the engines. */
export class LogModel {
  readonly #partitions = new Map<string, string[]>()
  readonly #ids = new Map<string, ModelEvent>()
  readonly #failedAt = new Map<string, number>()
  #failed = 0

  append(calls: readonly Call[], failuresSeen: number): ModelResult {
    const failures = new Map<number, string>()
    const answers = new Map<string, ModelAnswer>()
    const places = new Map<string, number>()
    const blocked = new Set<string>()
    for (const [name, count] of this.#failedAt) if (failuresSeen < count) blocked.add(name)
    for (const [index, call] of calls.entries()) {
      const failure = this.#obstacle(call, blocked)
      if (failure !== undefined) {
        failures.set(index, failure)
        for (const part of call) blocked.add(nameOf(part))
      }
      for (const part of call) {
        const name = nameOf(part)
        const answer = answers.get(name) ?? { offsets: [], duplicates: [] }
        answers.set(name, answer)
        for (const record of part.records) {
          const place = places.get(name) ?? 0
          places.set(name, place + 1)
          if (failure === undefined) this.#accept(part.topic, name, record, place, answer)
        }
      }
    }
    this.#failed += failures.size
    for (const index of failures.keys()) {
      for (const part of calls[index]!) this.#failedAt.set(nameOf(part), this.#failed)
    }
    return { failures, answers }
  }

  contents(topic: string, partition: number): readonly string[] {
    return this.#partitions.get(`${topic}/${partition}`) ?? []
  }

  #obstacle(call: Call, blocked: ReadonlySet<string>): string | undefined {
    if (call.some((part) => blocked.has(nameOf(part)))) return 'PREDECESSOR_FAILED'
    const own = new Map<string, string>()
    for (const { records, topic } of call) {
      for (const { id, data } of records) {
        const known = this.#ids.get(`${topic}:${id}`)?.content ?? own.get(`${topic}:${id}`)
        if (known !== undefined && known !== data) return 'ID_CONFLICT'
        own.set(`${topic}:${id}`, String(data))
      }
    }
    return undefined
  }

  #accept(topic: string, name: string, { id, data }: EventRecord, place: number, answer: ModelAnswer): void {
    const known = this.#ids.get(`${topic}:${id}`)
    if (known !== undefined) {
      answer.offsets.push(known.offset)
      answer.duplicates.push(place)
      return
    }
    const events = this.#partitions.get(name) ?? []
    this.#partitions.set(name, events)
    this.#ids.set(`${topic}:${id}`, { content: String(data), offset: events.length })
    answer.offsets.push(events.length)
    events.push(`${id}:${JSON.stringify(data)}`)
  }
}

/** What a task's units come to. Ids are the task's own, so other tasks do not matter. */
export class TaskModel {
  readonly partition: number
  readonly state = new Map<string, string>()
  readonly emittedIds: string[] = []
  readonly #contents = new Map<string, unknown>()
  position: number | undefined

  constructor(partition: number) {
    this.partition = partition
  }

  commit(
    from: number | undefined,
    to: number,
    events: readonly EventRecord[],
    keys: readonly string[],
    values: readonly (string | undefined)[],
  ): string {
    if (from !== this.position) return 'POSITION_MISMATCH'
    const contents = new Map(this.#contents)
    for (const { id, data } of events) {
      if (contents.has(id) && contents.get(id) !== data) return 'ID_CONFLICT'
      contents.set(id, data)
    }
    this.position = to
    for (const { id, data } of events) {
      if (this.#contents.has(id)) continue
      this.#contents.set(id, data)
      this.emittedIds.push(id)
    }
    for (const [index, key] of keys.entries()) {
      const value = values[index]
      if (value === undefined) this.state.delete(key)
      else this.state.set(key, value)
    }
    return 'committed'
  }
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`
}
