import type { Engine, StateChanges, TaskId } from '../engine/engine.ts'
import { limits } from '../limits.ts'

/**
 * One key's newest value, as the task's handlers see it: committed, being committed, or waiting in the open unit.
 * Objects are kept as JSON text, so nobody can change a stored value by holding on to it; primitives as they are.
 */
export class StateCell {
  readonly store: string
  readonly key: string
  #text: string | undefined
  #primitive: unknown
  /** Number of the last unit that changed it. Cells of units not yet committed must stay. */
  unit = -1
  /** The cache has let go of it: who still has it must ask again. */
  isForgotten = false

  constructor(store: string, key: string, text: string | undefined) {
    this.store = store
    this.key = key
    this.load(text)
  }

  load(text: string | undefined): void {
    const structured = text !== undefined && (text.startsWith('{') || text.startsWith('['))
    this.#text = structured ? text : undefined
    this.#primitive = structured || text === undefined ? undefined : JSON.parse(text)
  }

  get value(): unknown {
    return this.#text === undefined ? this.#primitive : JSON.parse(this.#text)
  }

  assign(snapshot: StateSnapshot): void {
    this.#text = snapshot.text
    this.#primitive = snapshot.primitive
  }

  /** What is stored; `undefined` deletes. */
  get stored(): string | undefined {
    if (this.#text !== undefined) return this.#text
    return this.#primitive === undefined ? undefined : JSON.stringify(this.#primitive)
  }
}

/** A value as it was when a handler set it. Both `undefined`: deleted. */
export interface StateSnapshot {
  readonly text: string | undefined
  readonly primitive: unknown
}

/** Keyed state of one task: hot values in memory, the rest in the engine. */
export class StateCache {
  readonly #engine: Engine
  readonly #task: TaskId
  readonly #upcoming: () => Iterable<string>
  readonly #stores = new Map<string, Map<string, StateCell>>()
  /** Single values asked for in this turn, by store: one read brings them all. */
  readonly #asked = new Map<string, { readonly keys: string[]; readonly read: Promise<void> }>()
  #entries = 0
  #dirty = new Map<string, StateCell[]>()
  #unit = 0

  /** `upcoming`: keys of the events to come; they are read with the first key of a store that nobody had asked for. */
  constructor(
    engine: Engine,
    task: TaskId,
    storeNames: Iterable<string>,
    upcoming: () => Iterable<string> = () => [],
  ) {
    this.#engine = engine
    this.#task = task
    this.#upcoming = upcoming
    for (const name of storeNames) this.#stores.set(name, new Map())
  }

  /** Names of its stores, as many as there are: they are only added to. */
  get stores(): { readonly size: number; keys(): Iterable<string> } {
    return this.#stores
  }

  /** The cell if it is in memory. `hint`: the key's cell in some store, as it was found before. */
  peek(store: string, key: string, hint?: StateCell): StateCell | undefined {
    if (hint !== undefined && hint.store === store && !hint.isForgotten) return hint
    return this.#stores.get(store)?.get(key)
  }

  async fetch(store: string, key: string): Promise<StateCell> {
    const cell = this.peek(store, key)
    if (cell !== undefined) return cell
    let asked = this.#asked.get(store)
    if (asked === undefined) {
      const keys: string[] = this.#stores.has(store) ? [] : [...this.#upcoming()]
      // The keys of whoever else asks in this turn come along.
      const read = Promise.resolve().then(() => {
        this.#asked.delete(store)
        return this.prefetch(store, keys)
      })
      asked = { keys, read }
      this.#asked.set(store, asked)
    }
    asked.keys.push(key)
    await asked.read
    // It may have been forgotten again, if very many were read at once.
    return this.peek(store, key) ?? (await this.fetch(store, key))
  }

  /** The cells of these events' keys, after one read of those that were not in memory. */
  async locate(
    store: string,
    events: readonly { readonly key: string | null }[],
  ): Promise<readonly (StateCell | undefined)[]> {
    const cells = this.#cellsOf(store)
    const missing: string[] = []
    const find = ({ key }: { readonly key: string | null }): StateCell | undefined => {
      if (key === null) return undefined
      const cell = cells.get(key)
      if (cell === undefined) missing.push(key)
      return cell
    }
    const found = events.map(find)
    if (missing.length === 0) return found
    await this.prefetch(store, missing)
    return events.map(find)
  }

  /** Brings the missing ones of `keys` into memory with one read. */
  async prefetch(store: string, keys: Iterable<string>): Promise<void> {
    const cells = this.#cellsOf(store)
    const missing = new Set<string>()
    for (const key of keys) if (!cells.has(key)) missing.add(key)
    if (missing.size === 0) return
    const asked = [...missing]
    const values = await this.#engine.readState(this.#task, store, asked)
    asked.forEach((key, i) => {
      // A handler may have set the value while we were reading; then ours is the older one.
      if (!cells.has(key)) this.#insert(cells, new StateCell(store, key, values[i]))
    })
  }

  /** Takes over a value that a finished event set. It belongs to the open unit from now on. */
  apply(store: string, key: string, snapshot: StateSnapshot, hint?: StateCell): void {
    let cell = this.peek(store, key, hint)
    if (cell === undefined) {
      cell = new StateCell(store, key, undefined)
      this.#insert(this.#cellsOf(store), cell)
    }
    cell.assign(snapshot)
    if (cell.unit === this.#unit) return
    cell.unit = this.#unit
    const dirty = this.#dirty.get(store)
    if (dirty === undefined) this.#dirty.set(store, [cell])
    else dirty.push(cell)
  }

  /** Whether the open unit has changes. */
  get isChanged(): boolean {
    return this.#dirty.size > 0
  }

  /** Ends the open unit: its changes, folded to the last value per key. */
  seal(): StateChanges[] {
    const changes: StateChanges[] = []
    for (const [store, cells] of this.#dirty) {
      const keys = new Array<string>(cells.length)
      const values = new Array<string | undefined>(cells.length)
      for (let i = 0; i < cells.length; i++) {
        keys[i] = cells[i]!.key
        values[i] = cells[i]!.stored
      }
      changes.push({ store, keys, values })
    }
    this.#dirty = new Map()
    this.#unit++
    return changes
  }

  /** Called when every sealed unit is committed: forgets the oldest values beyond the bound. */
  trim(): void {
    if (this.#entries <= limits.hotStateEntriesMax) return
    for (const cells of this.#stores.values()) {
      for (const [key, cell] of cells) {
        if (cell.unit === this.#unit) continue
        cells.delete(key)
        cell.isForgotten = true
        this.#entries--
        if (this.#entries <= limits.hotStateEntriesMax * 0.75) return
      }
    }
  }

  #cellsOf(store: string): Map<string, StateCell> {
    let cells = this.#stores.get(store)
    if (cells === undefined) {
      cells = new Map()
      this.#stores.set(store, cells)
    }
    return cells
  }

  #insert(cells: Map<string, StateCell>, cell: StateCell): void {
    cells.set(cell.key, cell)
    this.#entries++
  }
}
