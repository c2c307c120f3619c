import { hash } from 'node:crypto'
import type { Engine, StateChanges, StateEntry, TaskId } from '../../engine/engine.ts'
import { limits } from '../../limits.ts'
import { keepsKeys, type MoveEntry } from './moved-entries.ts'

const pageEntries = 500
const unitBytes = limits.unitBytesMax / 4

export interface StoreCopy {
  readonly source: Engine
  readonly target: Engine
  readonly task: TaskId
  readonly store: string
  readonly move: MoveEntry
  /** Commits changes of the task in the target. */
  readonly commit: (changes: StateChanges) => Promise<void>
}

/** Makes a store of the target what that of the source is, by writing what differs. Can be repeated. */
export async function copyStore(copy: StoreCopy): Promise<void> {
  const { source, target, task, store, move } = copy
  const wanted = keepsKeys(store) ? undefined : new Set<string>()
  for await (const page of pagesOf(source, task, store)) {
    const entries = page.map(move).filter((entry) => entry !== undefined)
    for (const { key } of entries) wanted?.add(key)
    const stored = await target.readState(
      task,
      store,
      entries.map(({ key }) => key),
    )
    await write(
      copy,
      entries.filter(({ value }, i) => stored[i] !== value),
    )
  }
  for await (const page of pagesOf(target, task, store)) {
    const keys = page.map(({ key }) => key)
    const values = wanted === undefined ? await source.readState(task, store, keys) : undefined
    const gone = keys.filter((key, i) => (values === undefined ? !wanted!.has(key) : values[i] === undefined))
    await write(
      copy,
      gone.map((key) => ({ key, value: undefined })),
    )
  }
}

/** Entries of a store, counted, and a digest that does not depend on their order. */
export interface StoreDigest {
  readonly entries: number
  readonly digest: string
}

export async function digestOf(
  engine: Engine,
  task: TaskId,
  store: string,
  move: MoveEntry = (entry) => entry,
): Promise<StoreDigest> {
  const sum = Buffer.alloc(32)
  let entries = 0
  for await (const page of pagesOf(engine, task, store)) {
    for (const entry of page.map(move)) {
      if (entry === undefined) continue
      entries++
      const one = hash('sha256', JSON.stringify([entry.key, entry.value]), 'buffer')
      for (let i = 0; i < sum.length; i++) sum[i]! ^= one[i]!
    }
  }
  return { entries, digest: sum.toString('hex') }
}

async function* pagesOf(
  engine: Engine,
  task: TaskId,
  store: string,
): AsyncGenerator<readonly StateEntry[], void> {
  let after: string | undefined
  for (;;) {
    const page = await engine.scanState({ task, store, after, limit: pageEntries })
    if (page.length > 0) yield page
    if (page.length < pageEntries) return
    after = page.at(-1)!.key
  }
}

interface Change {
  readonly key: string
  readonly value: string | undefined
}

async function write({ store, commit }: StoreCopy, changes: readonly Change[]): Promise<void> {
  let first = 0
  let bytes = 0
  for (let i = 0; i < changes.length; i++) {
    bytes += changes[i]!.key.length + (changes[i]!.value?.length ?? 0)
    if (bytes < unitBytes && i < changes.length - 1) continue
    const some = changes.slice(first, i + 1)
    await commit({ store, keys: some.map(({ key }) => key), values: some.map(({ value }) => value) })
    first = i + 1
    bytes = 0
  }
}
