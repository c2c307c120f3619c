import type { Row } from '../engine/engine.ts'
import { reservedStorePrefix } from '../engine/store-names.ts'
import { SemelError } from '../errors.ts'
import { checkData, checkJson } from '../event/check-data.ts'
import { checkAgainstSchemaNow } from '../event/check-schema.ts'
import type { EventRecord } from '../event/event.ts'
import { type IdSource, makeRecord } from '../event/make-record.ts'
import { partitionOfKey } from '../event/partition-of-key.ts'
import { type AnyTopic, type PublishAttributes, Topic } from '../event/topic.ts'
import { limits } from '../limits.ts'
import { invalidOption } from '../options.ts'
import type { State, Transaction } from './handler.ts'
import { keyOf, ownData, type RoundRobin } from './prepare-call.ts'
import type { Slot } from './slot.ts'
import type { SqlSession } from './sql-session.ts'
import type { StateCache, StateCell, StateSnapshot } from './state-cache.ts'

/** What every event of a task shares. */
export interface TransactionContext {
  readonly group: string
  readonly state: StateCache
  readonly sql: SqlSession
  readonly ids: IdSource
  readonly roundRobin: RoundRobin
  /** Names of declared topics, so that a wrong emit fails in the handler and not at the commit. */
  readonly topics: ReadonlyMap<string, AnyTopic>
  now(): number
}

/** An emitted event on its way into the unit. */
export interface Emitted {
  readonly topic: string
  readonly partition: number
  readonly record: EventRecord
  readonly bytes: number
  readonly fresh: boolean
}

/**
 * The transaction handle of one attempt. Everything is kept here until the attempt succeeds; a failed attempt is
 * dropped with all it did. After that the handle is closed, so a handler that outlives its time-out can do no harm.
 */
export class EventTransaction implements Transaction {
  readonly #context: TransactionContext
  readonly #slot: Slot
  #closed = false
  #states: KeyState[] | undefined
  #emits: Emitted[] | undefined

  constructor(context: TransactionContext, slot: Slot) {
    this.#context = context
    this.#slot = slot
  }

  state<V>(name: string): State<V> {
    this.requireOpen('state')
    // The store remembers JSON; that a reader asks for the type a writer wrote is between the two of them.
    return this.#keyState(name) as State<V>
  }

  #keyState(name: string): State<unknown> {
    const known = this.#states?.find((state) => state.name === name)
    if (known !== undefined) return known
    checkStoreName(name)
    const { key } = this.#slot
    if (key === null) {
      throw new SemelError('INVALID_KEY', 'state belongs to a key, and this event has none', {
        field: 'key',
        hint: 'give the topic a key function, or publish with a key',
      })
    }
    const state = new KeyState(this, this.#context.state, name, key, this.#slot.cell)
    if (this.#states === undefined) this.#states = [state]
    else this.#states.push(state)
    return state
  }

  emit<T>(topic: Topic<T>, data: T, attributes?: PublishAttributes): void {
    this.requireOpen('emit')
    if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
    const declared = this.#context.topics.get(topic.name)
    if (declared === undefined) throw unknownEmit(topic.name)
    const { length } = this.#emits ?? []
    if (length >= limits.emitsPerEventMax) {
      throw new SemelError('TOO_LARGE', `one event may emit ${limits.emitsPerEventMax} events`, {
        field: 'emit',
        limit: limits.emitsPerEventMax,
      })
    }
    const accepted = checkAgainstSchemaNow(declared, data)
    const bytes = checkData(accepted)
    const own = ownData(accepted)
    const key = keyOf({ topic, data: accepted, attributes })
    const record = makeRecord(own, attributes, topic, key, this.#context.now(), this.#context.ids)
    const partition =
      record.key === null
        ? this.#context.roundRobin.partition(declared.partitions)
        : partitionOfKey(record.key, declared.partitions)
    const emitted = { topic: topic.name, partition, record, bytes, fresh: attributes?.id === undefined }
    if (this.#emits === undefined) this.#emits = [emitted]
    else this.#emits.push(emitted)
  }

  async query(text: string, params: readonly unknown[] = []): Promise<readonly Row[]> {
    this.requireOpen('query')
    const statement = { text, params }
    // Without parameters, a text may be several statements: it is sent when its turn has come.
    const rows = await this.#context.sql.enter(this.#slot, params.length > 0 ? statement : undefined)
    this.requireOpen('query')
    return rows ?? (await this.#context.sql.query(statement))
  }

  async client(): Promise<unknown> {
    this.requireOpen('client')
    await this.#context.sql.enter(this.#slot)
    this.requireOpen('client')
    return this.#context.sql.client
  }

  requireOpen(operation: string): void {
    if (!this.#closed) return
    throw new SemelError('TX_CLOSED', `${operation} on a transaction whose attempt has ended`, {
      hint: 'await everything the handler starts; an attempt also ends at its time-out',
    })
  }

  /** Ends the attempt without effect. */
  close(): void {
    this.#closed = true
  }

  /** Ends the attempt with success: its state changes go to the cache, its emits are handed to the unit. */
  succeed(): readonly Emitted[] {
    this.#closed = true
    if (this.#states !== undefined) for (const state of this.#states) state.apply()
    return this.#emits ?? []
  }
}

/** State handle of one key in one store, for one attempt. */
class KeyState implements State<unknown> {
  readonly name: string
  readonly #tx: EventTransaction
  readonly #cache: StateCache
  readonly #key: string
  readonly #hint: StateCell | undefined
  #pending: StateSnapshot | undefined

  constructor(tx: EventTransaction, cache: StateCache, name: string, key: string, hint?: StateCell) {
    this.#tx = tx
    this.#cache = cache
    this.name = name
    this.#key = key
    this.#hint = hint
  }

  // None of these is an async function: what is in memory is answered without the objects of one.
  get(): Promise<unknown> {
    return promiseOf(() => {
      this.#tx.requireOpen('state.get')
      if (this.#pending !== undefined) {
        return this.#pending.text === undefined ? this.#pending.primitive : JSON.parse(this.#pending.text)
      }
      const cell: StateCell | undefined = this.#cache.peek(this.name, this.#key, this.#hint)
      return cell === undefined ? this.#fetched() : cell.value
    })
  }

  async #fetched(): Promise<unknown> {
    return (await this.#cache.fetch(this.name, this.#key)).value
  }

  set(value: unknown): Promise<void> {
    return promiseOf(() => {
      this.#tx.requireOpen('state.set')
      checkJson(value, 'state value', limits.stateValueBytesMax)
      const structured = typeof value === 'object' && value !== null
      this.#pending = structured
        ? { text: JSON.stringify(value), primitive: undefined }
        : { text: undefined, primitive: value }
    })
  }

  async delete(): Promise<void> {
    this.#tx.requireOpen('state.delete')
    this.#pending = { text: undefined, primitive: undefined }
  }

  apply(): void {
    if (this.#pending !== undefined) this.#cache.apply(this.name, this.#key, this.#pending, this.#hint)
  }
}

/** The outcome of `work` as a promise. */
function promiseOf<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return Promise.resolve(work())
  } catch (error) {
    return Promise.reject(error)
  }
}

const storeNameGrammar = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

/** Names that passed the check once; a program has a handful. */
const goodStoreNames = new Set<string>()
const goodStoreNamesMax = 1000

function checkStoreName(name: string): void {
  if (goodStoreNames.has(name)) return
  requireStoreName(name)
  if (goodStoreNames.size < goodStoreNamesMax) goodStoreNames.add(name)
}

function requireStoreName(name: string): void {
  if (
    typeof name === 'string' &&
    name.length <= limits.storeNameCharsMax &&
    storeNameGrammar.test(name) &&
    !name.startsWith(reservedStorePrefix)
  ) {
    return
  }
  throw new SemelError('INVALID_OPTION', 'a state store needs a name of letters, digits, ".", "_" and "-"', {
    field: 'state name',
    limit: limits.storeNameCharsMax,
    hint: `names beginning with "${reservedStorePrefix}" are Semel's own`,
  })
}

function unknownEmit(name: string): SemelError {
  return new SemelError(
    'UNKNOWN_TOPIC',
    `topic ${name} is not declared on the bus that the group commits to`,
    {
      field: 'topic',
      hint: 'add it to openBus({ topics: [...] }); of a group with a sink, emits go to the sink',
    },
  )
}

export function unknownTopic(name: string): SemelError {
  return new SemelError('UNKNOWN_TOPIC', `topic ${name} was not declared when the bus was opened`, {
    field: 'topic',
    hint: 'add it to openBus({ topics: [...] })',
  })
}
